"""Objects of S3, on a server that speaks as S3 does, and signatures held against Amazon's own."""

import io
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from soda.cut import cutout_file
from soda.files import Files
from soda.output import Output
from soda.selection import Selection
from soda.skies import SkyCache
from soda.source import Source
from vodal.errors import ChangedError, DataError, NotFoundError, SettingsError
from vodal.fits.opening import open_scanned
from vodal.regions import Circle
from vodal.storage import Storage, StorageSettings
from vodal.storage.s3 import Buckets, split_s3
from vodal.storage.settings import S3Settings
from vodal.testing.archive import serve_archive
from vodal.testing.s3 import KEYS, bucket_of, serve_s3

pytest.importorskip("boto3", reason="moto[server] is not installed")
pytest.importorskip("moto.server", reason="moto[server] is not installed")

DATA = np.random.default_rng(3).bytes(300_000)


@pytest.fixture(scope="module")
def endpoint():
    with serve_s3() as address:
        yield address


@pytest.fixture
def bucket(endpoint):
    with bucket_of(endpoint, "survey") as client:
        yield client


@pytest.fixture
def storage(endpoint):
    made = Storage(StorageSettings(s3=S3Settings(buckets=("survey",), endpoint=endpoint, **KEYS)))
    yield made
    made.close()


def image():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [200, 200], [-5e-5, 5e-5]
    data = np.random.default_rng(1).normal(0, 5, (400, 400)).astype(np.float32)
    return fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, wcs.to_header())])


@pytest.mark.parametrize("key", ["a.bin", "night 1/a+b~(é)%20.bin"])
def test_objects_are_read_by_ranges(bucket, storage, key):
    bucket.put_object(Bucket="survey", Key=key, Body=DATA)
    with storage.open(f"s3://survey/{key}") as reader:
        stat = reader.stat()
        assert stat.size_bytes == len(DATA)
        assert abs(stat.modified_unix_s - datetime.now(UTC).timestamp()) < 600
        assert reader.identity() is None  # the ETag proves the bytes
        ranges = [(0, 10), (100_000, 500), (299_000, 1000)]
        assert reader.read_many(ranges) == [DATA[start : start + n] for start, n in ranges]
    bucket.put_object(Bucket="survey", Key=key, Body=DATA[::-1])
    with storage.open(f"s3://survey/{key}", stat.version) as reader, pytest.raises(ChangedError):
        reader.read(100_000, 500)


def test_a_cutout_from_s3_is_that_of_the_local_file(bucket, storage, tmp_path):
    image().writeto(tmp_path / "a.fits")
    bucket.put_object(Bucket="survey", Key="a.fits", Body=(tmp_path / "a.fits").read_bytes())
    selection = Selection(Circle(150.0, 2.0, 0.002))

    def pixels(made):
        with fits.open(io.BytesIO(bytes(made.body))) as hdus:
            return np.array(hdus[1].data)

    expected = pixels(cutout_file(tmp_path / "a.fits", selection))
    index, reader = open_scanned("s3://survey/a.fits", storage=storage)
    reader.__exit__(None, None, None)
    files = Files(SkyCache())
    source = Source("s3://survey/a.fits", index, (1,), storage=storage)
    np.testing.assert_array_equal(pixels(files.cut(source, selection, Output())), expected)
    changed = image()
    changed[1].data = changed[1].data * 0 + 4
    changed.writeto(tmp_path / "b.fits")
    bucket.put_object(Bucket="survey", Key="a.fits", Body=(tmp_path / "b.fits").read_bytes())
    assert set(np.unique(pixels(files.cut(source, selection, Output())))) == {4}


def test_what_is_not_there_or_not_allowed(bucket, storage):
    with pytest.raises(NotFoundError):
        storage.open("s3://survey/none.fits").stat()
    with pytest.raises(DataError, match=r"bucket 'other' is not read.*storage\.s3\.buckets"):
        storage.open("s3://other/a.fits")
    for uri in ("s3://survey", "s3://survey/", "s3:///a", "s3://survey/a//b", "s3://survey/../b"):
        with pytest.raises(DataError):
            storage.open(uri)
    assert split_s3("s3://survey/a?b#c%20") == ("survey", "a?b#c%20")


@pytest.mark.parametrize("virtual", [False, True])
@pytest.mark.parametrize("token", ["", "lent"])
def test_signatures_are_those_of_amazons_own_library(virtual, token):
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    settings = S3Settings(
        buckets=("survey",), endpoint="https://s3.example.org", region="eu-west-3",
        virtual_hosted=virtual, session_token=token, **KEYS,
    )  # fmt: skip
    url = Buckets(settings).address("s3://survey/night 1/a+b.fits")()
    given = parse_qs(urlsplit(url).query)
    moment = given["X-Amz-Date"][0]
    host = "survey.s3.example.org/" if virtual else "s3.example.org/survey/"
    plain = f"https://{host}night%201/a%2Bb.fits"
    assert url.partition("?")[0] == plain
    request = AWSRequest("GET", plain)
    credentials = Credentials("testing", "secret/+=", token or None)

    class Auth(S3SigV4QueryAuth):
        def add_auth(self, request):
            request.context["timestamp"] = moment
            self._modify_request_before_signing(request)
            canonical = self.canonical_request(request)
            self._inject_signature_to_request(
                request, self.signature(self.string_to_sign(request, canonical), request)
            )

    Auth(credentials, "s3", "eu-west-3", expires=int(given["X-Amz-Expires"][0])).add_auth(request)
    theirs = parse_qs(urlsplit(request.url).query)
    assert given["X-Amz-Signature"] == theirs["X-Amz-Signature"]


def test_public_buckets_need_no_signature_and_no_library(tmp_path, monkeypatch):
    (tmp_path / "survey").mkdir()
    (tmp_path / "survey" / "a b.bin").write_bytes(DATA)
    with serve_archive(tmp_path) as archive:
        s3 = S3Settings(buckets=("survey",), endpoint=archive.url, anonymous=True)
        storage = Storage(StorageSettings(s3=s3))
        with storage.open("s3://survey/a b.bin") as reader:
            assert reader.read(5, 10) == DATA[5:15]
        storage.close()
        assert "?" not in archive.seen[0].path
        assert archive.seen[0].path == "/survey/a%20b.bin"


def test_without_the_library_signing_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    settings = S3Settings(buckets=("survey",), **KEYS)
    with pytest.raises(SettingsError, match=r"skylane\[s3\]"):
        Buckets(settings).address("s3://survey/a")()


def test_secrets_are_not_shown(storage):
    assert "secret/+=" not in repr(storage.settings)
    with pytest.raises(ValueError, match="both or not at all"):
        S3Settings(access_key_id="one")
    with pytest.raises(ValueError, match="endpoint is a URL"):
        S3Settings(endpoint="s3.example.org")
