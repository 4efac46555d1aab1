"""Draws the picture of docs/concepts.md: from pixels to files. Writes pixels_to_files.svg beside this script.

Run it as `python docs/images/pixels_to_files.py`. The colours follow the page (light or dark).
"""

from pathlib import Path

WIDTH, HEIGHT = 720, 474
BOX, GAP = 208, 48  # width of a panel, and between two
TOP = (8, 236)  # of the two rows
TALL = 172

STYLE = """
svg.drawing { --ink: #1f2328; --soft: #59636e; --box: #f3f5f7; --sure: #0b7285; --doubt: #c2410c; }
@media (prefers-color-scheme: dark) {
  svg.drawing { --ink: #e6edf3; --soft: #9aa4af; --box: #1c2128; }
}
svg.drawing { --sure: #1c9aab; --doubt: #e8590c; }
svg.drawing text { font-family: system-ui, sans-serif; fill: var(--ink); font-size: 13px; }
svg.drawing .head { font-weight: 600; font-size: 14px; }
svg.drawing .note { fill: var(--soft); font-size: 12px; }
svg.drawing .code { font-family: ui-monospace, monospace; font-size: 12px; }
svg.drawing .panel { fill: var(--box); }
svg.drawing .arrow { stroke: var(--soft); stroke-width: 1.6; fill: none; marker-end: url(#tip); }
svg.drawing .thin { stroke: var(--soft); stroke-width: 1.2; fill: none; }
svg.drawing .sure { stroke: var(--sure); fill: none; }
svg.drawing .doubt { stroke: var(--doubt); fill: none; }
svg.drawing .cell { fill: var(--sure); }
svg.drawing .doubtful { fill: var(--doubt); }
"""

MOTHERS = ((46, 66), (46, 116))  # inside a panel
DAUGHTERS = ((162, 54), (162, 90), (162, 126))


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """One line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{words}</text>'


def line(a: tuple[float, float], b: tuple[float, float], kind: str, width: float = 1.4) -> str:
    """A straight line."""
    return f'<line x1="{a[0]:g}" y1="{a[1]:g}" x2="{b[0]:g}" y2="{b[1]:g}" class="{kind}" stroke-width="{width:g}"/>'


def dots(x: float, y: float, doubtful: int | None = None) -> str:
    """Two mothers and three daughters."""
    cells = [(*spot, "cell") for spot in MOTHERS]
    cells += [(*spot, "doubtful" if k == doubtful else "cell") for k, spot in enumerate(DAUGHTERS)]
    return "".join(f'<circle cx="{x + cx:g}" cy="{y + cy:g}" r="8" class="{c}"/>' for cx, cy, c in cells)


def links(x: float, y: float, kinds: dict[tuple[int, int], tuple[str, float]]) -> str:
    """Links from mother i to daughter j with a class and a width."""
    return "".join(
        line((x + MOTHERS[i][0], y + MOTHERS[i][1]), (x + DAUGHTERS[j][0], y + DAUGHTERS[j][1]), kind, width)
        for (i, j), (kind, width) in kinds.items()
    )


def panel(column: int, row: int, title: str, note: str) -> tuple[float, float, str]:
    """A panel's corner and its frame."""
    x, y = column * (BOX + GAP), TOP[row]
    frame = f'<rect x="{x}" y="{y}" width="{BOX}" height="{TALL}" rx="8" class="panel"/>'
    return (
        x,
        y,
        frame
        + text(x + 12, y + 24, title, "head")
        + text(x + BOX / 2, y + TALL - 10, note, "note", "middle"),
    )


def draw() -> str:
    """The picture as SVG."""
    parts = []
    x, y, frame = panel(0, 0, "1 · Images and masks", "one TIFF a frame: Movie")
    blobs = (
        f'<rect x="{x + 18}" y="{y + 38}" width="76" height="100" rx="3" class="thin"/>'
        f'<rect x="{x + 114}" y="{y + 38}" width="76" height="100" rx="3" class="thin"/>'
        + "".join(
            f'<ellipse cx="{x + cx}" cy="{y + cy}" rx="{rx}" ry="{ry}" class="cell"/>'
            for cx, cy, rx, ry in (
                (50, 66, 15, 11),
                (60, 112, 17, 13),
                (148, 58, 14, 11),
                (162, 90, 11, 9),
                (144, 120, 11, 9),
            )
        )
    )
    parts += [frame, blobs]
    x, y, frame = panel(1, 0, "2 · Detections", "what is measured: Detections")
    frames = text(x + 46, y + 148, "frame t", "note", "middle") + text(
        x + 162, y + 148, "t + 1", "note", "middle"
    )
    parts += [frame, dots(x, y), frames]
    x, y, frame = panel(2, 0, "3 · Scores", "of a tracker: CandidateGraph")
    every = {(i, j): ("thin", 1.2) for i in range(2) for j in range(3)}
    parts += [frame, links(x, y, every), dots(x, y), text(x + 96, y + 52, "s = −0.4", "note", "middle")]
    x, y, frame = panel(0, 1, "4 · Probabilities", "of a method: UncertaintyLayer")
    weights = {
        (0, 0): ("sure", 5.0),
        (1, 2): ("sure", 4.6),
        (0, 1): ("doubt", 2.4),
        (1, 1): ("doubt", 3.2),
        (0, 2): ("thin", 0.6),
    }
    numbers = "".join(text(x + 178, y + dy, p, "note") for dy, p in ((58, ".98"), (94, ".58"), (130, ".95")))
    parts += [frame, links(x, y, weights), dots(x, y, 1), numbers]
    x, y, frame = panel(1, 1, "5 · Tracks, and a list", "doubtful first: review")
    chosen = {(0, 0): ("sure", 3.0), (1, 1): ("doubt", 3.0), (1, 2): ("sure", 3.0)}
    ring = f'<circle cx="{x + 162}" cy="{y + 90}" r="14" class="doubt" stroke-width="2"/>'
    parts += [frame, links(x, y, chosen), dots(x, y, 1), ring]
    x, y, frame = panel(2, 1, "6 · Files", "TrackingResult.save")
    names = ("links.csv, cells.csv", "res_track.txt, mask*.tif", "tracks.geff", "doubts.png")
    parts += [
        frame,
        *(text(x + 16, y + 56 + 25 * k, name, "code") for k, name in enumerate(names)),
    ]
    for row in (0, 1):
        for column in (0, 1):
            start = column * (BOX + GAP) + BOX
            middle = TOP[row] + TALL / 2
            parts.append(f'<path d="M{start + 6} {middle:g} H{start + GAP - 8}" class="arrow"/>')
    right, left = 2 * (BOX + GAP) + BOX / 2, BOX / 2
    gutter = (TOP[0] + TALL + TOP[1]) / 2
    parts.append(
        f'<path d="M{right:g} {TOP[0] + TALL + 4} V{gutter:g} H{left:g} V{TOP[1] - 6}" class="arrow"/>'
    )
    floor = TOP[1] + TALL
    second = BOX + GAP + BOX / 2
    parts += [
        f'<path d="M{second:g} {floor + 4} V{floor + 26} H{left + 40:g} V{floor + 8}" class="arrow"/>',
        text((second + left + 40) / 2, floor + 44, "your decisions: confirm, forbid", "note", "middle"),
        f'<path d="M{left - 40:g} {floor + 40} V{floor + 8}" class="arrow"/>',
        text(0, floor + 60, "annotated movies: temperature T", "note"),
    ]
    title = (
        "From images and masks to detections, to a tracker's scores on candidate links, to probabilities, to tracks "
        "with a list of doubtful cells, to files; decisions and annotated movies feed back into the probabilities."
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{title}</title><style>{STYLE}</style>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="context-stroke"/></marker></defs>' + "".join(parts) + "</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw())
