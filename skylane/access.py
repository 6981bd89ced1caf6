"""Who may see what on a site: its rules, and who finds out who asks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request

from obscore.hook.routes import PATHS as HOOK_PATHS
from obscore.store.base import Backend
from skylane.settings import SiteSettings
from vodal.access.asking import asking_of
from vodal.access.identity import ANONYMOUS
from vodal.access.rules import AccessRules, Rights
from vodal.errors import SettingsError
from vodal.products import Catalogue
from vodal.uws.results import JobFolder
from vodal.web.auth.base import Authenticator
from vodal.web.auth.middleware import Authentication
from vodal.web.auth.proxy import ProxyHeaders
from vodal.web.auth.routes import create_auth_app
from vodal.web.auth.settings import AccessSettings, OidcSettings
from vodal.web.auth.signed import SignedUrls, kept_key

__all__ = ["SiteAccess", "name_of"]


def name_of(request: Request) -> str | None:
    """Give the name of who sends a request, to whom its jobs belong."""
    return asking_of(request).identity.name


class SiteAccess:
    """Access control of a site; none, at no cost, where nothing is set.

    Parameters
    ----------
    settings
        Of the site.
    key_file
        Where the key of signed URLs is kept, if it is not set.

    Raises
    ------
    SettingsError
        If the settings cannot be followed.
    """

    def __init__(self, settings: SiteSettings, key_file: Path) -> None:
        access = settings.access
        collections = settings.obscore.collections.items()
        own = {name: one.access for name, one in collections if one.access is not None}
        self.rules = AccessRules(access.others, own, access.admins, access.tables)
        self._settings, self._public_url = access, settings.server.public_url
        self._authenticators: tuple[Authenticator, ...] = ()
        self._signer: SignedUrls | None = None
        if access.identifies:
            self._signer = SignedUrls(_key(access, key_file))
            proxies = settings.server.trusted_proxies
            self._authenticators = (self._signer, *_authenticators(access, proxies))

    @property
    def public(self) -> Rights:
        """What everybody may see."""
        return self.rules.rights(ANONYMOUS)

    def of_job(self, folder: JobFolder) -> Rights:
        """Give the rights that a job runs with."""
        return self.rules.rights(folder.owner()) if self.rules.restrict else self.public

    def doubts(self, catalogue: Catalogue, backend: Backend) -> list[str]:
        """Say what of the rules may not be meant, as sentences.

        Parameters
        ----------
        catalogue
            All of the site's images: a rule of no collection may be misspelt.
        backend
            The store, with the tables that the site publishes itself: everybody may query those
            that no rule is of.
        """
        if not self.rules.restrict:
            return []
        names = self.rules.names - {one.name for one in catalogue.collections()}
        with closing(backend.tables()) as store:
            tables = [table.full_name for table in store.publication().tables]
        open_tables = [name for name in tables if not self.rules.has_table(name)]
        return [
            *(f"there is a rule for '{name}', and no such collection" for name in sorted(names)),
            *(
                f"everybody may query {name}, as access.tables has no rule for it"
                for name in sorted(open_tables)
            ),
        ]

    @property
    def middleware(self) -> list[Middleware]:
        """What wraps the site's app."""
        if not self._authenticators and not self.rules.restrict:
            return []
        return [
            Middleware(
                Authentication,
                self._authenticators,
                self.rules,
                self._settings,
                HOOK_PATHS[:1],
                public_url=self._public_url,
            )
        ]

    @property
    def services(self) -> Mapping[str, Starlette]:
        """Apps to be mounted."""
        if self._signer is None:
            return {}
        return {"/auth": create_auth_app(self._signer, self._settings, self._public_url)}


def _key(access: AccessSettings, key_file: Path) -> bytes:
    if access.signing_key is not None:
        return access.signing_key.get_secret_value().encode()
    return kept_key(key_file)


def _authenticators(access: AccessSettings, proxies: tuple[str, ...]) -> list[Authenticator]:
    made: list[Authenticator] = []
    if access.oidc.issuer:
        made.append(_bearer_tokens(access.oidc))
    if access.proxy.user_header:
        try:
            made.append(ProxyHeaders(access.proxy, proxies))
        except ValueError:
            raise SettingsError(
                "access.proxy: server.trusted_proxies must name addresses or networks, since"
                f" users are believed from there; '{', '.join(proxies)}' does not"
            ) from None
    return made


def _bearer_tokens(settings: OidcSettings) -> Authenticator:
    try:
        from vodal.web.auth.tokens import BearerTokens  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError("access.oidc needs joserfc: pip install 'skylane[oidc]'") from None
    return BearerTokens(settings)
