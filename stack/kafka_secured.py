"""Apache Kafka with every way to log in that driftd knows, in one process; ACLs decide on the rest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from driftd.demo.children import Children, free_port
from stack.kafka import ADMIN, ADMIN_PASSWORD, TIMEOUT_S, Kafka
from stack.tokens import TokenServer

_HANDLER = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
_LOGIN = "org.apache.kafka.common.security"
Acl = tuple[str, str, str, str]
"""Operation, resource type, name of the resource, pattern ("literal" or "prefixed")."""


class SecuredKafka(Kafka):
    """``bootstrap``: SASL_SSL with SCRAM-SHA-512, SCRAM-SHA-256, PLAIN and OAUTHBEARER;
    ``plaintext``: SASL_PLAINTEXT with PLAIN and OAUTHBEARER; ``mutual``: TLS with a certificate of
    the client. ``users``: name -> password. An OAUTHBEARER session ends after ``session_ms``."""

    def __init__(
        self,
        children: Children,
        folder: Path,
        *,
        users: Mapping[str, str],
        tokens: TokenServer,
        session_ms: int = 3_600_000,
    ) -> None:
        super().__init__(children, folder, scram=users)
        self._users = {ADMIN: ADMIN_PASSWORD, **users}
        self._tokens = tokens
        self._session_ms = session_ms
        self._second, self._third = free_port(), free_port()

    @property
    def plaintext(self) -> str:
        """Where clients begin that use no TLS."""
        return f"127.0.0.1:{self._second}"

    @property
    def mutual(self) -> str:
        """Where clients begin that show a certificate."""
        return f"127.0.0.1:{self._third}"

    def start(self) -> None:
        """Start, and give every user a SCRAM-SHA-256 password as well."""
        super().start()
        kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        changes = [
            UserScramCredentialUpsertion(user, kind, password.encode())
            for user, password in self._users.items()
        ]
        admin = self.admin()
        for future in admin.alter_user_scram_credentials(changes).values():
            future.result(TIMEOUT_S)

    def command(self) -> Sequence[str]:
        """The broker, which may fetch the tokens' key."""
        java, *rest = super().command()
        allowed = "org.apache.kafka.sasl.oauthbearer.allowed.urls"
        return [java, f"-D{allowed}={self._tokens.jwks_url}", *rest]

    def allow(self, principal: str, acls: Sequence[Acl]) -> None:
        """Let a principal (``User:name``) do something."""
        admin = self.admin()
        for future in admin.create_acls(
            [_bound(AclBinding, principal, acl) for acl in acls]
        ).values():
            future.result(TIMEOUT_S)

    def forbid(self, principal: str, acls: Sequence[Acl]) -> None:
        """Take a permission back."""
        admin = self.admin()
        for future in admin.delete_acls(
            [_bound(AclBindingFilter, principal, acl) for acl in acls]
        ).values():
            future.result(TIMEOUT_S)

    def _listeners(self) -> dict[str, str]:
        found = super()._listeners()
        plain = " ".join(f'user_{user}="{word}"' for user, word in self._users.items())
        for key in ("listeners", "advertised.listeners"):
            found[key] += f",OPEN://{self.plaintext},MUTUAL://{self.mutual}"
        found["listener.security.protocol.map"] += ",OPEN:SASL_PLAINTEXT,MUTUAL:SSL"
        mechanisms = {"sasl_ssl": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER"}
        mechanisms["open"] = "PLAIN,OAUTHBEARER"
        scram = found["listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config"]
        found["listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config"] = scram
        for name, enabled in mechanisms.items():
            prefix = f"listener.name.{name}"
            found |= {
                f"{prefix}.sasl.enabled.mechanisms": enabled,
                f"{prefix}.plain.sasl.jaas.config": (
                    f"{_LOGIN}.plain.PlainLoginModule required {plain};"
                ),
                f"{prefix}.oauthbearer.sasl.jaas.config": (
                    f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required;"
                ),
                f"{prefix}.oauthbearer.sasl.server.callback.handler.class": _HANDLER,
                f"{prefix}.oauthbearer.connections.max.reauth.ms": str(self._session_ms),
            }
        return found | {
            "sasl.oauthbearer.jwks.endpoint.url": self._tokens.jwks_url,
            "listener.name.mutual.ssl.client.auth": "required",
        }


def _bound(kind_of_binding: type[Any], principal: str, acl: Acl) -> Any:
    operation, kind, name, pattern = acl
    return kind_of_binding(
        # What Kafka calls the cluster the library calls a broker.
        ResourceType["BROKER" if kind == "cluster" else kind.upper()],
        name,
        ResourcePatternType[pattern.upper()],
        principal,
        "*",
        AclOperation[operation.upper()],
        AclPermissionType.ALLOW,
    )
