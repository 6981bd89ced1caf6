"""Settings of the catalogue: collections, bands, ingest; the mapping's are in `obscore.mapping`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator

from obscore.coverage.settings import CoverageSettings
from obscore.extra import ExtraColumns
from obscore.mapping.band import Bands
from obscore.mapping.document import Presets
from obscore.mapping.rules import ColumnMapping, FileRule, refuse_other_columns
from obscore.sources.butler.settings import ButlerSettings
from obscore.sources.table.settings import TableSettings
from vodal.access.rules import AccessRule
from vodal.settings import Settings

__all__ = ["CollectionSettings", "IngestSettings", "ObsCoreSettings", "SourceSettings"]

_AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~*'()+=-]{2,}")


class SourceSettings(Settings):
    """A source that is the site's own; see docs/howto/source.md."""

    model_config = ConfigDict(populate_by_name=True)

    class_: str = Field(alias="class", pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """``package.module:Class``, as Python imports it."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Handed to the class by their names."""


class CollectionSettings(Settings):
    """One collection."""

    folder: str | None = None
    """Where its files lie: a path, ``s3://bucket/prefix/``, or the ``https://`` address of a folder
    that its server lists. ``skylane ingest`` without arguments goes through all folders; files
    given by another path below it belong to the collection too."""
    manifest: str | None = None
    """List of its files, instead of a folder: a path, or an address of ``https:``."""
    source: SourceSettings | None = None
    """What there is to catalogue by a class of the site's own, instead of a folder."""
    table: TableSettings | None = None
    """A table whose rows tell of its files, instead of a folder: ``table = "products.csv"``."""
    butler: ButlerSettings | None = None
    """Datasets of an LSST Butler instead of a folder."""
    headers: bool | None = None
    """Whether rows are made of the files' headers. With ``false`` they are made of what the source
    tells alone, by ``mapping``, and a file is opened when it is first cut or shown. By default
    ``true`` for a folder, ``false`` for a table or a Butler repository."""
    calib_level: int = Field(2, ge=0, le=4)
    """Calibration level of files that do not tell their own: 0 raw in an instrument's format,
    1 raw, 2 calibrated, 3 combined or resampled, 4 analysis."""
    preset: Presets = ()
    """Mappings of instruments that come with Skylane, by name: one, or several of which the first
    goes before the others. ``skylane mapping presets`` lists them."""
    mapping_file: str | None = None
    """File with a mapping of this collection (``mapping``, ``files``, ``bands``, ``calib_level``,
    ``preset``); by default ``skylane-mapping.toml`` in the folder, if there is one. What is set
    here goes before it, and it goes before the presets."""
    mapping: ColumnMapping = ColumnMapping()
    """Rules for all files of the collection."""
    files: tuple[FileRule, ...] = ()
    """Rules for some files; of several that fit, the later goes before the earlier."""
    footprint: Literal["array", "valid"] = "array"
    """What ``s_region`` outlines: the whole pixel ``array``, or the convex hull of the pixels that
    are ``valid``: finite, not BLANK, not flagged by `no_data`. All pixels are read for that, and an
    image without a valid one is refused."""
    no_data: tuple[Annotated[int, Field(ge=0, le=62)] | str, ...] = ()
    """Bits of the mask plane whose pixels are not valid, with ``footprint = "valid"``: numbers from
    0, or names as in ``MP_`` cards (``"NO_DATA"``)."""
    moc_order: int | None = Field(None, ge=0, le=18)
    """HEALPix order of the collection's coverage map; by default as `obscore.moc` says."""
    access: AccessRule | None = None
    """Who may have and know of its images; by default as `access.others` says."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [
            name
            for name in ("folder", "manifest", "source", "table", "butler")
            if getattr(self, name)
        ]
        if len(given) > 1:
            raise ValueError(f"a collection has one of {' and '.join(given)}, not both")
        return self

    @property
    def reads_headers(self) -> bool:
        """Whether rows are made of headers, whether or not that was said."""
        told = self.table is not None or self.butler is not None
        return not told if self.headers is None else self.headers


def _check_token(token: SecretStr | None) -> SecretStr | None:
    # The text itself is no part of the message: it is a secret.
    if token is not None and not re.fullmatch(r"[!-~]{16,}", token.get_secret_value()):
        raise ValueError("a token has 16 characters of ASCII or more, and no blanks")
    return token


class IngestSettings(Settings):
    """How files are read."""

    workers: int | None = Field(None, ge=0)
    """Processes that read headers; by default one for each processor, at most 8. 0 reads in the
    calling process, without protection from files that crash a library."""
    file_seconds: float = Field(60.0, gt=0)
    """A file whose headers take longer is refused."""
    memory_mb: int = Field(3072, ge=512)
    """A reading process may take as much memory; a file that needs more is refused."""
    batch_files: int = Field(200, ge=1)
    """Files written in one transaction at most."""
    batch_seconds: float = Field(0.5, gt=0)
    """A file that has been read waits no longer than this to be written."""
    settle_seconds: float = Field(2.0, ge=0)
    """With ``--watch``: a file is read when its size and times have been the same for so long, and
    no process is known to write it. One that its writer closes, or that is moved into place, in a
    folder of a local disk is read at once."""
    incomplete_seconds: float = Field(60.0, ge=0)
    """With ``--watch``: a file that is shorter than its headers say is waited for so long after its
    last change, then it is refused; it is read again when it changes. One that lacks only the
    padding of its last block is taken then."""
    poll_seconds: float = Field(5.0, gt=0)
    """With ``--watch``: how often sources are looked through that do not tell of changes: folders
    on network file systems, or where the system's inotify watches are used up, and all that is no
    folder on a disk."""
    rescan_seconds: float = Field(3600.0, gt=0)
    """With ``--watch``: how often all folders are compared with the catalogue, for what no event
    told: files behind symbolic links, and disks that were away."""
    hook_token: Annotated[SecretStr | None, AfterValidator(_check_token)] = None
    """Secret that a pipeline shows when it tells the server of files that it has written
    (``POST /ingest``); without it there is no such resource. 16 characters or more.
    SKYLANE_OBSCORE__INGEST__HOOK_TOKEN keeps it out of files."""
    renew_changed: bool = True
    """Whether the server catalogues a file anew when a cutout shows that it changed. Without it,
    and where the rules of its rows changed too, that is left to the next ``skylane ingest``."""


def _check_authority(text: str) -> str:
    if not _AUTHORITY.fullmatch(text):
        raise ValueError("an authority has three characters or more, letters, digits, '.', '-'")
    return text


class ObsCoreSettings(Settings):
    """The catalogue."""

    authority: Annotated[str, AfterValidator(_check_authority)] = "skylane.example"
    """IVOA authority of the site, the first part of each identifier ``ivo://authority/...``.
    Register one before you publish: identifiers are for ever."""
    collections: dict[str, CollectionSettings] = Field(default_factory=dict)
    """By name. A folder that belongs to none makes a collection of the folder's name."""
    columns: ExtraColumns = Field(default_factory=dict)
    """Columns that ``ivoa.obscore`` has beside those of ObsCore, by name, in their order."""
    mapping: ColumnMapping = ColumnMapping()
    """Rules for all collections; a collection's own go before them."""
    bands: Bands = Field(default_factory=dict)
    """Filters by the text of the FILTER card (case does not matter); they go before the built-in
    table."""
    ingest: IngestSettings = IngestSettings()
    moc: CoverageSettings = CoverageSettings()

    @model_validator(mode="before")
    @classmethod
    def _known_columns(cls, given: Any) -> Any:
        """Refuse rules of columns that there are not."""
        if not isinstance(given, Mapping):
            return given
        columns, collections = given.get("columns"), given.get("collections")
        known = tuple(columns) if isinstance(columns, Mapping) else ()
        given = refuse_other_columns(given, known)
        if isinstance(collections, Mapping):
            # A Butler's configuration may declare more, which is known when it is read.
            given["collections"] = {
                name: one
                if isinstance(one, Mapping) and "butler" in one
                else refuse_other_columns(one, known)
                for name, one in collections.items()
            }
        return given

    @property
    def moc_orders(self) -> dict[str, int]:
        """The orders of coverage maps of collections that have one of their own, by name."""
        return {
            name: one.moc_order
            for name, one in self.collections.items()
            if one.moc_order is not None
        }
