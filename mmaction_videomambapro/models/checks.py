"""Checks of configuration values."""


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise a ValueError that lists the choices if ``value`` is not one of them."""
    if value not in choices:
        raise ValueError(f'{name} must be one of {choices}, but got {value!r}')
