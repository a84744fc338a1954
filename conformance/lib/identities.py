"""Authorities, certificates and revocation lists, made when a test needs them; and signed URLs."""

import datetime
import hashlib
import hmac
import ipaddress
import subprocess
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fanfare import binary

NOW = datetime.datetime.now(datetime.timezone.utc)
SOON = NOW + datetime.timedelta(days=2)
BEFORE = NOW - datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private(key):
    form, kind = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    return key.private_bytes(kind, form, serialization.NoEncryption())


class Identity:
    """A certificate and its key, as files."""

    def __init__(self, folder, name, certificate, key):
        self.certificate = certificate
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(_private(key))
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex()


class Authority:
    """Vouches for a server named localhost and for clients."""

    def __init__(self, folder, name="authority"):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )
        self.name = _name(name)
        builder = self._builder(self.name, self.key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject, public_key):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(BEFORE).not_valid_after(SOON)

    def issue(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = self._builder(_name(name), key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return Identity(self.folder, name, builder.sign(self.key, hashes.SHA256()), key)

    def revoke(self, *identities):
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(BEFORE).next_update(SOON).add_extension(x509.CRLNumber(1), False)
        for identity in identities:
            entry = x509.RevokedCertificateBuilder().serial_number(identity.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(BEFORE).build())
        file = self.folder / "revoked.pem"
        file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return file


def user_entry(name, password, *rules):
    """An entry of the users file, made by `fanfare passwd`; `rules` replace its empty ones."""
    command = [binary(), "passwd", name]
    entry = subprocess.run(command, input=password + "\n", capture_output=True, text=True, timeout=20, check=True).stdout
    kept = [line for line in entry.splitlines() if not line.startswith(("allow", "deny", "#"))]
    return "\n".join([*kept, *rules]) + "\n"


def signed_query(host, key, secret, at=None, region="local", service="iotdevicegateway", token=None):
    """The query of a signed upgrade to `/mqtt`, as SDKs write it: the token comes after the signature."""
    at = at or datetime.datetime.now(datetime.timezone.utc)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    scope = f"{day}/{region}/{service}/aws4_request"
    query = urllib.parse.urlencode(
        {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-SignedHeaders": "host",
        }
    )
    empty = hashlib.sha256(b"").hexdigest()
    canonical = f"GET\n/mqtt\n{query}\nhost:{host}\n\nhost\n{empty}"
    signed = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    query += "&X-Amz-Signature=" + hmac.new(signing, signed.encode(), hashlib.sha256).hexdigest()
    return query + (f"&X-Amz-Security-Token={urllib.parse.quote(token, safe='')}" if token else "")
