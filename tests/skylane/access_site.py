"""A site with rules, for tests of who may see what and of attacks: one server for all of them."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote, urlencode

import httpx
import numpy as np
from astropy.io import fits

from skylane.testing import call
from vodal.access.identity import Identity
from vodal.testing.issuer import Issuer, SigningKey, b64, issuer
from vodal.testing.skies import make_wcs
from vodal.web.auth.signed import SignedUrls

SETTINGS = """
[obscore.mapping]
obs_release_date = "keyword:RELEASE"
filter = "keyword:FILTER"

[obscore.collections.open]

[obscore.collections.Team.access]
data = "groups"
groups = ["staff"]

[obscore.collections.later.access]
data = "released"
groups = ["staff"]

[obscore.collections.shy.access]
data = "released"
groups = ["staff"]
metadata = "hidden"

[obscore.collections.team.access]
data = "groups"
groups = ["staff", "others"]

[obscore.collections.secret.access]
data = "groups"
groups = ["staff"]
metadata = "hidden"

[server]
request_limit_s = 4.0

[hips]
order = 6

[hips.live.selections]
all = "t_exptime > 0"

[obscore.ingest]
hook_token = "a-token-of-pipelines,which-is-no-JWT"

[access.proxy]
user_header = "X-User"
groups_header = "X-Groups"

[access]
admins = ["root"]

[access.tables]
"closed.*" = ["staff"]
"unseen.stars" = { groups = ["staff"], metadata = "hidden" }

[access.oidc]
issuer = "{issuer}"
audience = ["skylane"]
"""

PAST, FUTURE = "2020-01-01T00:00:00", "2999-01-01"

IMAGES = {
    "public": ("open", None),
    "released": ("later", PAST),
    "embargoed": ("later", FUTURE),
    "undated": ("later", None),
    "shown": ("shy", PAST),
    "unshown": ("shy", FUTURE),
    "group": ("team", None),
    "hidden": ("secret", None),
}
"""Images by what is tested of them: collection, release date."""

FREE = {"public", "released", "shown"}
UNKNOWN = {"unshown", "hidden"}
PLACE = {right: (10.0 + 2.0 * number, 5.0) for number, right in enumerate(IMAGES)}
"""Each image is at a place of its own."""

MEMBERS = {"member", "signed"}
BAD = {"expired", "forged"}
BAD_TOKENS = {
    "expired",
    "forged",
    "unsigned",
    "for another",
    "of another",
    "too early",
    "endless",
    "altered",
}
BAD_LINKS = {"expired link", "altered link", "link to another", "foreign link"}
CALLERS = ["anonymous", "member", "stranger", "expired", "forged", "signed"]


@dataclass
class Archive:
    url: str
    folder: Path
    dids: dict[str, str]
    tokens: dict[str, str]

    def headers(self, caller: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[caller]}"} if caller in self.tokens else {}

    def get(self, caller: str, path: str, **params) -> httpx.Response:
        """Ask for something as somebody; who has a signed URL gets it from a member."""
        url = f"{path}?{urlencode(params)}" if params else path
        if caller in BAD_LINKS:
            return httpx.get(self.url + self.bad_link(caller, url), timeout=120)
        if caller == "signed":
            made = httpx.get(
                f"{self.url}/auth/sign", params={"URL": url}, headers=self.headers("member")
            )
            assert made.status_code == 200, made.text
            return httpx.get(made.text.strip(), timeout=120)
        return httpx.get(self.url + url, headers=self.headers(caller), timeout=120)

    def bad_link(self, caller: str, url: str) -> str:
        """Make a signed URL that is none that holds."""
        key = (self.folder / "signing.key").read_bytes().strip()
        path, _, query = url.partition("?")
        ada = Identity("ada", frozenset({"staff"}))
        match caller:
            case "expired link":
                long_ago = SignedUrls(key, lambda: time.time() - 7200)
                return long_ago.sign(unquote(path), query, ada, 3600)
            case "foreign link":
                return SignedUrls(b"x" * 40).sign(unquote(path), query, ada, 600)
            case "link to another":
                made = SignedUrls(key).sign(f"{unquote(path)}x", query, ada, 600)
                return url + ("&" if query else "?") + made[made.index("SIGNATURE=") :]
            case _:
                made = SignedUrls(key).sign(unquote(path), query, ada, 600)
                return made[:-9] + ("A" if made[-9] != "A" else "B") + made[-8:]

    def post(self, caller: str, path: str, **options) -> httpx.Response:
        return httpx.post(self.url + path, headers=self.headers(caller), timeout=120, **options)

    def rows(self, caller: str, query: str, **files) -> list[dict[str, str]]:
        data = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "csv"}
        if files:
            data["UPLOAD"] = "mine,param:mine"
            answer = self.post(caller, "/tap/sync", data=data, files=files)
        elif caller == "signed":
            answer = self.get(caller, "/tap/sync", **data)
        else:
            answer = self.post(caller, "/tap/sync", data=data)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(answer.text.splitlines()))


def make_image(path, place: tuple[float, float], release: str | None, level: float) -> None:
    header = make_wcs(*place, 64, 60.0, distorted=False).to_header()
    header["FILTER"], header["EXPTIME"], header["DATE-OBS"] = "r", 10.0, "2019-05-05T00:00:00"
    if release is not None:
        header["RELEASE"] = release
    noise = np.random.default_rng(1).normal(level, 1.0, (64, 64)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(noise, header).writeto(path)


def tokens_of(provider: Issuer) -> dict[str, str]:
    """Make the tokens that callers send, good and bad."""
    claims, now = provider.claims("staff"), int(time.time())
    good = provider.token("staff", name="ada")
    head, body, signature = good.split(".")
    other = b64(json.dumps({**claims, "groups": ["staff"], "sub": "eve"}).encode())
    none = b64(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return {
        "member": good,
        "admin": provider.token("root", name="root"),
        "stranger": provider.token("guests", name="bob"),
        "expired": provider.token("staff", exp=now - 600),
        "forged": SigningKey("first").token(claims),
        "unsigned": f"{none}.{body}.",
        "for another": provider.token("staff", aud="another"),
        "of another": provider.token("staff", iss="https://login.example"),
        "too early": provider.token("staff", nbf=now + 3600),
        "endless": provider.token("staff", exp=None),
        "altered": f"{head}.{other}.{signature}",
    }


TABLE = """
name: {schema}
description: Tables of tests
tables:
- name: stars
  columns:
  - name: star
    datatype: int
"""


def publish(folder: Path, schema: str) -> None:
    """Publish a table of the site's own."""
    declared, rows = folder / f"{schema}.yaml", folder / f"{schema}.csv"
    declared.write_text(TABLE.replace("{schema}", schema))
    rows.write_text("star\n1\n2\n")
    call("table", "publish", declared, "--data", rows, "--site", folder)


def archive_in(folder: Path, cli: SimpleNamespace) -> Iterator[Archive]:
    """Make the site and serve it."""
    for number, (right, (collection, release)) in enumerate(IMAGES.items()):
        make_image(
            folder / "data" / collection / f"{right}.fits", PLACE[right], release, 100.0 * number
        )
    with issuer() as provider:
        settings = SETTINGS.replace("{issuer}", provider.url)
        (folder / "skylane.toml").write_text(settings)
        for collection in dict.fromkeys(name for name, _ in IMAGES.values()):
            call("ingest", folder / "data" / collection, "--site", folder)
        for collection in ("open", "team", "secret", "shy", "later"):
            call("hips", "build", collection, "--site", folder)
        for schema in ("closed", "free", "unseen"):
            publish(folder, schema)
        process, url = cli.start(folder)
        try:
            made = Archive(url, folder, {}, tokens_of(provider))
            found = made.rows("member", "SELECT obs_publisher_did FROM ivoa.obscore")
            for row in found:
                did = row["obs_publisher_did"]
                made.dids[did.rsplit("/", 1)[-1].rsplit("?", 1)[-1].removesuffix(".fits")] = did
            assert set(made.dids) == set(IMAGES)
            yield made
        finally:
            cli.stop(process)


def live_tile(archive: Archive, caller: str, name: str, right: str) -> httpx.Response:
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    ra, dec = PLACE[right]
    npix = int(lonlat_to_healpix(Longitude([ra], "deg"), Latitude([dec], "deg"), 6)[0])
    path = f"Norder6/Dir{npix // 10000 * 10000}/Npix{npix}.fits"
    return archive.get(caller, f"/hips/live/{quote(name)}/{path}")


def submit(archive: Archive, caller: str, path: str, **params) -> str:
    answer = archive.post(caller, path, data={"PHASE": "RUN", **params})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix(archive.url)
