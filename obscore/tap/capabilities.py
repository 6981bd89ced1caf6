"""What the TAP service says it can (TAPRegExt 1.0; TAP 1.1 section 2.4)."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from obscore.adql.functions import GEOMETRY_FUNCTIONS
from obscore.adql.userdefined.catalogue import user_features
from obscore.coverage.capability import coverage_capability
from obscore.tap.settings import TapSettings
from vodal.tables.formats import FORMATS
from vodal.uploads.settings import UploadSettings
from vodal.uws.settings import JobSettings
from vodal.vosi.capabilities import Capability, Interface, capability, vosi_capabilities

__all__ = ["FEATURES", "tap_capabilities"]

_FEATURES_IVOID = "ivo://ivoa.net/std/TAPRegExt#features-"

FEATURES: dict[str, tuple[str, ...]] = {
    "adqlgeo": tuple(sorted(GEOMETRY_FUNCTIONS)),
    "adql-string": ("LOWER", "UPPER", "ILIKE"),
    "adql-common-table": ("WITH",),
    "adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    "adql-type": ("CAST",),
    "adql-unit": ("IN_UNIT",),
    "adql-offset": ("OFFSET",),
}
"""Optional features of ADQL 2.1 that are there, by the name of their group; a test runs each.

COALESCE is there too and not declared: its group ``adql-conditional`` came after STILTS 3.4.7,
whose taplint calls it an error (E-CAP-KEYX, unknown standard feature key).
"""


def _texts(tag: str, **texts: str) -> Element:
    element = Element(tag)
    for name, text in texts.items():
        SubElement(element, name).text = text
    return element


def _language() -> Element:
    language = _texts("language", name="ADQL")
    for version in ("2.0", "2.1"):
        ivoid = f"ivo://ivoa.net/std/ADQL#v{version}"
        SubElement(language, "version", {"ivo-id": ivoid}).text = version
    SubElement(language, "description").text = "ADQL 2.1; queries in ADQL 2.0 are understood too"
    for group, forms in FEATURES.items():
        features = SubElement(language, "languageFeatures", {"type": _FEATURES_IVOID + group})
        features.extend(_texts("feature", form=form) for form in forms)
    own = SubElement(language, "languageFeatures", {"type": _FEATURES_IVOID + "udf"})
    for form, described in user_features():
        own.append(_texts("feature", form=form, description=described))
    return language


def _limit(tag: str, default: int, hard: int, unit: str | None = None) -> Element:
    attributes = {} if unit is None else {"unit": unit}
    element = Element(tag)
    for name, value in (("default", default), ("hard", hard)):
        SubElement(element, name, attributes).text = str(value)
    return element


def _time_limits(settings: TapSettings, jobs: JobSettings | None) -> list[Element]:
    """Tell how long a query may run, and how long the result of an asynchronous one is kept."""
    if jobs is None:
        seconds = max(1, round(settings.sync_limit_s))
        return [_limit("executionDuration", seconds, seconds)]
    hard = settings.async_max_limit_s
    return [
        _limit("retentionPeriod", int(jobs.retention_s), int(jobs.max_retention_s)),
        _limit("executionDuration", min(settings.async_limit_s, hard), hard),
    ]


def _details(settings: TapSettings, jobs: JobSettings | None) -> list[Element]:
    """Make the elements of ``tr:TableAccess``, in the order of its XML schema."""
    model = Element("dataModel", {"ivo-id": "ivo://ivoa.net/std/ObsCore#core-1.1"})
    model.text = "ObsCore-1.1"
    formats = []
    for item in FORMATS:
        element = _texts("outputFormat", mime=item.media_type)
        if item.ivo_id is not None:
            element.set("ivo-id", item.ivo_id)
        for alias in dict.fromkeys((item.name, *item.aliases)):
            if alias != item.media_type:
                SubElement(element, "alias").text = alias
        formats.append(element)
    return [
        model,
        _language(),
        *formats,
        *_upload_methods(settings.uploads),
        *_time_limits(settings, jobs),
        _limit(
            "outputLimit", min(settings.default_rows, settings.max_rows), settings.max_rows, "row"
        ),
        *_upload_limits(settings.uploads),
    ]


def _upload_methods(settings: UploadSettings) -> list[Element]:
    if not settings.max_tables:
        return []
    # TAPRegExt 1.0 section 2.5 wants both of every service that takes uploads; from which hosts a
    # table is fetched, if from any, is the site's choice and told by the error.
    methods = ["inline", "http", *(["https"] if settings.urls.hosts else [])]
    return [
        Element("uploadMethod", {"ivo-id": f"ivo://ivoa.net/std/TAPRegExt#upload-{method}"})
        for method in methods
    ]


def _upload_limits(settings: UploadSettings) -> list[Element]:
    if not settings.max_tables:
        return []
    return [_limit("uploadLimit", settings.max_rows, settings.max_rows, "row")]


def tap_capabilities(
    service_url: str,
    settings: TapSettings,
    jobs: JobSettings | None = None,
    moc_url: str | None = None,
) -> tuple[Capability, ...]:
    """Make the capabilities of the service.

    Parameters
    ----------
    service_url
        Where it is mounted, without a trailing slash.
    settings
        Its limits.
    jobs
        Limits of asynchronous queries; None where there are none.
    moc_url
        Where coverage maps are served, without a trailing slash, if they are.
    """
    access = Capability(
        "ivo://ivoa.net/std/TAP",
        (Interface(service_url, use="base", version="1.1"),),
        xsi_type="tr:TableAccess",
        details=tuple(_details(settings, jobs)),
    )
    examples = capability("ivo://ivoa.net/std/DALI#examples", f"{service_url}/examples", role=None)
    maps = () if moc_url is None else (coverage_capability(moc_url),)
    return (access, *vosi_capabilities(service_url, tables=True), examples, *maps)
