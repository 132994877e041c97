"""Which ServiceAccounts are those of operators, by their names. Pure."""

from __future__ import annotations

from typing import Final

#: What the accounts of operators are called; where Helm has installed one, the name of the release
#: comes before. Such an account writes pods and reads Secrets, in its namespace at least.
OPERATORS: Final = ("repository-server-controller", "actionset-controller", "kanister-operator")


def is_of_operator(name: str) -> bool:
    """Return whether a ServiceAccount is called as that of an operator.

    Args:
        name: Its name.
    """
    return name.endswith(OPERATORS)
