"""HTML and SVG from parts, in which no text can turn into markup."""

from html import escape


class Markup(str):
    """Text that is markup already; `element` escapes every other."""


def element(
    name: str, attributes: dict[str, object] | None = None, *children: "str | Markup | None"
) -> Markup:
    """An element with attributes and children; what is no `Markup` is escaped.

    Args:
        name: Such as "p".
        attributes: By name; None and False are left out, True stands without a value, floats with one digit.
        children: Inside, in this order; None is left out.

    >>> element("p", {"class": "a", "hidden": True}, "<script>", element("b", None, "&"))
    '<p class="a" hidden>&lt;script&gt;<b>&amp;</b></p>'
    """
    opened = name
    for key, value in (attributes or {}).items():
        if value is True:
            opened += f" {key}"
        elif value is not None and value is not False:
            opened += f' {key}="{escape(_written(value))}"'
    if name in ("input", "image", "path", "circle", "line", "rect"):
        return Markup(f"<{opened}/>")
    return Markup(f"<{opened}>{joined(*children)}</{name}>")


def joined(*parts: "str | Markup | None") -> Markup:
    """Parts one after the other; what is no `Markup` is escaped."""
    return Markup(
        "".join(
            part if isinstance(part, Markup) else escape(part, quote=False)
            for part in parts
            if part is not None
        )
    )


def percent(p: float) -> str:
    """A probability as a person reads it; only what is sure is 0 or 100 %.

    >>> [percent(p) for p in (0.0, 0.004, 0.416, 0.997, 1.0)]
    ['0 %', 'under 1 %', '42 %', 'over 99 %', '100 %']
    """
    if 0 < p < 0.01:
        return "under 1 %"
    if 0.99 < p < 1:
        return "over 99 %"
    return f"{100 * p:.0f} %"


def shortened(text: object, most: int = 40) -> str:
    """At most so many characters of a name.

    >>> shortened("a" * 50, 5)
    'aaaa…'
    """
    said = str(text)
    return said if len(said) <= most else said[: most - 1] + "…"


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
