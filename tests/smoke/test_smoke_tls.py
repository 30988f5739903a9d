"""Over https: a right server passes, and what is wrong about a server's TLS is refused by its own check."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from debian_programs import need
from reference_flaws import Flaws
from reference_server import Certificate, serving
from reference_target import ReferenceTarget
from smoke_limits import NEVER_READY, limits_file
from smoke_runs import Run, smoke

from contracts.verdict import Verdict

HERE = "subjectAltName=IP:127.0.0.1,DNS:localhost"
ELSEWHERE = "subjectAltName=DNS:elsewhere.example"

Issue = Callable[[str], Certificate]


def openssl(folder: Path, *arguments: str | Path) -> None:
    """Run openssl in *folder*."""
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CA that nobody knows: ca.pem and ca.key."""
    need("openssl")
    folder = tmp_path_factory.mktemp("ca")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key")
    openssl(folder, "req", "-x509", *key, "-out", "ca.pem", "-days", "2", "-subj", "/CN=A test's CA")
    return folder


@pytest.fixture(scope="module")
def issue(authority: Path) -> Issue:
    """Makes a certificate of the CA, for a name."""

    def issued(name: str) -> Certificate:
        files = {
            kind: authority / f"{len(list(authority.iterdir()))}.{kind}"
            for kind in ("key", "csr", "pem", "ext")
        }
        files["ext"].write_text(name)
        key = ("-newkey", "rsa:2048", "-nodes", "-keyout", files["key"])  # RSA: TLS 1.1 knows it as well
        openssl(authority, "req", *key, "-out", files["csr"], "-subj", "/CN=test")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1")
        asked = ("-req", "-in", files["csr"], "-extfile", files["ext"])
        openssl(authority, "x509", *asked, *signing, "-out", files["pem"])
        return Certificate(files["pem"], files["key"])

    return issued


@pytest.fixture
def over_tls(limits: Path, tmp_path: Path, authority: Path) -> Callable[[Certificate, Flaws], Run]:
    """Runs the suite against a target with that certificate, whose CA it is told of."""

    def run(certificate: Certificate, flaws: Flaws) -> Run:
        with serving(ReferenceTarget(flaws).app(), certificate) as url:
            return smoke(url, limits, tmp_path, SSL_CERT_FILE=str(authority / "ca.pem"))

    return run


def test_a_right_server_passes(over_tls: Callable[[Certificate, Flaws], Run], issue: Issue) -> None:
    """With the CA in SSL_CERT_FILE the whole suite passes over https, and TLS is not left out."""
    run = over_tls(issue(HERE), Flaws())
    assert (run.exit_code, run.not_passed) == (0, []), run.output
    assert (run.check("certificate is trusted").value, run.check("old tls is refused").value) == (
        "TLSv1.3",
        "refused",
    )
    assert not [reason for reason in run.report.left_out if "TLS" in reason]


def test_an_unknown_authority_is_refused_at_once(limits: Path, tmp_path: Path, issue: Issue) -> None:
    """Without the CA nothing is sent: the reason, and what to do for a CA of one's own, is the check's."""
    with serving(ReferenceTarget(Flaws()).app(), issue(HERE)) as url:
        run = smoke(url, limits, tmp_path)
    assert (run.exit_code, run.not_passed) == (1, ["certificate is trusted"])
    detail = run.check("certificate is trusted").detail
    assert "unable to get local issuer certificate" in detail
    assert "SSL_CERT_FILE" in detail
    assert "the release cannot be asked over TLS" in run.check("not run").detail


def test_a_certificate_for_another_name_is_refused(
    over_tls: Callable[[Certificate, Flaws], Run], issue: Issue
) -> None:
    """A known CA is not enough: the certificate must be for the address that was asked."""
    run = over_tls(issue(ELSEWHERE), Flaws())
    assert (run.exit_code, run.not_passed) == (1, ["certificate is trusted"])
    assert "127.0.0.1" in run.check("certificate is trusted").detail


def test_a_server_that_speaks_old_tls_is_refused(
    over_tls: Callable[[Certificate, Flaws], Run], issue: Issue
) -> None:
    """A handshake of TLS 1.1 that succeeds is what the check found."""
    certificate = issue(HERE)
    old = Certificate(certificate.certificate, certificate.key, speaks_old_tls=True)
    run = over_tls(old, Flaws())
    check = run.check("old tls is refused")
    assert (run.exit_code, run.not_passed) == (1, ["old tls is refused"])
    assert (check.verdict, check.value, check.limit) == (Verdict.FAIL, "TLSv1.1", "refused")


def test_a_server_without_hsts_is_refused(
    over_tls: Callable[[Certificate, Flaws], Run], issue: Issue
) -> None:
    """Over https Strict-Transport-Security must be there."""
    run = over_tls(issue(HERE), Flaws(lacks_hsts=True))
    assert (run.exit_code, run.not_passed) == (1, ["hsts is sent"])


def test_a_server_without_tls_is_refused(limits: Path, tmp_path: Path) -> None:
    """What answers in the clear where https was asked for is told at once."""
    with serving(ReferenceTarget(Flaws()).app()) as url:
        run = smoke(url.replace("http:", "https:"), limits, tmp_path)
    assert (run.exit_code, run.not_passed) == (1, ["certificate is trusted"])
    assert "no handshake" in run.check("certificate is trusted").detail


def test_nobody_there_is_waited_for_and_refused(tmp_path: Path) -> None:
    """A port that nobody listens at is asked as long as a release may take to be ready."""
    run = smoke("https://127.0.0.1:9", limits_file(tmp_path, NEVER_READY), tmp_path)
    assert (run.exit_code, run.not_passed) == (1, ["certificate is trusted"])
    assert "no connection to 127.0.0.1:9" in run.check("certificate is trusted").detail
