"""Bar charts as SVG, by hand: no library, no script, readable on light and on dark."""
from html import escape

STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.value { font-variant-numeric: tabular-nums }
.ours { fill: #0969da } .other { fill: #8c959f } .line { stroke: #24292f; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ours { fill: #58a6ff } .other { fill: #6e7681 } .line { stroke: #e6edf3 }
}
</style>"""
WIDTH, LEFT, RIGHT, ROW, TOP = 800, 340, 90, 26, 44


def bars(title, rows, mark=None):
    """`rows`: (name, value, text shown, whether it is ours); `mark`: (value, text) of a line across."""
    high = TOP + ROW * len(rows) + (26 if mark else 8)
    most = max([value for _, value, _, _ in rows] + ([mark[0]] if mark else [])) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    said = "; ".join(f"{name}: {text}" for name, _, text, _ in rows)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{high}" viewBox="0 0 {WIDTH} {high}" '
             f'role="img" aria-label="{escape(title + ": " + said)}">', STYLE,
             f'<text class="title" x="8" y="22">{escape(title)}</text>']
    for index, (name, value, text, ours) in enumerate(rows):
        y, length = TOP + ROW * index, max(1.0, value * scale)
        lines += [f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
                  f'<rect class="{"ours" if ours else "other"}" x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="16" rx="2"/>',
                  f'<text class="value" x="{LEFT + length + 6:.1f}" y="{y + 14}">{escape(text)}</text>']
    if mark:
        x, bottom = LEFT + mark[0] * scale, TOP + ROW * len(rows)
        lines += [f'<line class="line" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>',
                  f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(mark[1])}</text>']
    return "\n".join(lines + ["</svg>"]) + "\n"
