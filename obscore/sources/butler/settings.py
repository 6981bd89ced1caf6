"""Settings of a collection whose images are datasets of an LSST Butler.

The keys, but for ``repository`` and ``config``, are those of LSST's own ObsCore configuration
(`lsst.daf.butler.registry.obscore.ObsCoreConfig`, `lsst.dax.obscore.ExporterConfig`), with the
same meaning, so that such a file can be taken as it is and its keys can stand in ``skylane.toml``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from vodal.settings import Settings

__all__ = [
    "ButlerSettings",
    "ConstraintSettings",
    "DatasetTypeSettings",
    "ExtraColumnSettings",
    "ObsCoreKeys",
]


class ExtraColumnSettings(Settings):
    """The template of a column."""

    template: str
    """Text with names of the dataset in braces, as `str.format` has them."""
    type: Literal["bool", "int", "float", "string"] = "string"
    """What the filled template is read as."""
    length: int | None = None
    """Has no effect: texts are of any length."""
    doc: str | None = None
    """What the column holds, where it is none of ObsCore's."""


ExtraColumns = dict[str, StrictBool | StrictInt | StrictFloat | StrictStr | ExtraColumnSettings]
"""Constants and templates by column."""


def _where_alone(given: Any) -> Any:
    return {"where": given} if isinstance(given, str) else given


class ConstraintSettings(Settings):
    """Which datasets are taken."""

    where: str = ""
    """Expression of the Butler over dimensions: ``"instrument = 'Cam' AND visit > 1000"``."""
    bind: dict[str, Any] = Field(default_factory=dict)
    """Values of the names in it."""
    extra_dims: tuple[str, ...] = ()
    """Dimensions that it names beside those of the dataset type."""


Constraint = Annotated[ConstraintSettings, BeforeValidator(_where_alone)]


class DatasetTypeSettings(Settings):
    """What holds for the datasets of one type."""

    dataproduct_type: str | None = None
    """``image``, ``cube`` ...; by default what the line finds, or ``image``."""
    dataproduct_subtype: str | None = None
    """Value of the column."""
    calib_level: int | None = Field(None, ge=0, le=4)
    """Value of the column; by default that of the collection."""
    o_ucd: str | None = None
    """Value of the column."""
    access_format: str | None = None
    """Has no effect: every row gives its DataLink document."""
    obs_id_fmt: str | None = None
    """Template of ``obs_id``: ``"{records[visit].name}"``, ``"{skymap}-{tract}-{patch}"``."""
    datalink_url_fmt: str | None = None
    """Has no effect: ``access_url`` is the DataLink document of this site."""
    obs_collection: str | None = None
    """Value of the column, before that of all types."""
    s_xel: tuple[int, int] | None = None
    """Pixels along the two axes."""
    extra_columns: ExtraColumns | None = None
    """Constants and templates by column, before those of all types."""


def _names_alone(given: Any) -> Any:
    """Take a list of dataset types for types of which nothing more is said."""
    return {str(name): {} for name in given} if isinstance(given, list | tuple) else given


class ObsCoreKeys(Settings):
    """The keys that LSST's configuration and ``skylane.toml`` share."""

    collections: tuple[str, ...] = ()
    """Collections of the Butler, in the order in which they are searched; wildcards may be used.
    With ``collection_type = "RUN"`` regular expressions over whole names, by default all runs."""
    collection_type: Literal["RUN", "TAGGED"] | None = None
    """By default a dataset is searched in the collections in order, and the first that is found
    counts. ``RUN``: all datasets of the runs. ``TAGGED``: those of the one tagged collection."""
    dataset_types: Annotated[dict[str, DatasetTypeSettings], BeforeValidator(_names_alone)] = Field(
        default_factory=dict
    )
    """Dataset types by name, or a list of names."""
    where: Constraint = ConstraintSettings()
    """Which datasets are taken: the expression, or a table with it."""
    dataset_type_constraints: dict[str, tuple[Constraint, ...]] = Field(default_factory=dict)
    """The same for single dataset types, instead of ``where``; what one of several takes is
    taken."""
    obs_collection: str | None = None
    """Value of the column; by default the name of the collection here."""
    facility_name: str | None = None
    """Value of the column for instruments that are not in the map."""
    facility_map: dict[str, str] = Field(default_factory=dict)
    """``facility_name`` by instrument."""
    fallback_instrument: str | None = None
    """``instrument_name`` of datasets whose dimensions have none, such as coadds."""
    obs_publisher_did_fmt: str | None = None
    """Template of ``obs_publisher_did``: ``"ivo://org.example/images?repo=main&id={id}"``. By
    default the site's authority, the collection's name and ``?id=`` with the dataset's UUID."""
    extra_columns: ExtraColumns | None = None
    """Constants and templates by column. Columns that ObsCore does not have are added to
    ``ivoa.obscore``."""
    spectral_ranges: dict[str, tuple[float | None, float | None]] = Field(default_factory=dict)
    """``em_min`` and ``em_max`` in m by physical filter or band; the filter goes before the band.
    What is not among them is looked up in the table of bands."""
    batch_size: int = Field(10_000, ge=1)
    """Datasets that are asked for and held at a time."""


class ButlerSettings(ObsCoreKeys):
    """A Butler repository whose datasets are the collection's images."""

    repository: str
    """Its folder or ``butler.yaml``, as path or URL, or an alias of ``DAF_BUTLER_REPOSITORIES``."""
    config: str | None = None
    """File of LSST's ObsCore configuration (YAML), taken as it is. Keys that stand here go before
    it."""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if self.config is None and not self.dataset_types:
            raise ValueError("give dataset_types, or a config with them")
        if self.config is None and not self.collections and self.collection_type != "RUN":
            raise ValueError("give collections, or a config with them")
        return self
