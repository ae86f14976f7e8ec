"""Loss curves of several runs in one picture."""

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 400, 60, 40, 20, 150
COLOURS = ["#0072b2", "#d55e00", "#56b4e9", "#e69f00"]  # Okabe and Ito: told apart by the colour blind
PARTS = 40


def smooth(curve, last):
    """Means over equal parts of the steps. `curve`: (last step, mean loss since the entry before), by step."""
    sums, before = {}, 0
    for step, loss in curve:
        for each in range(before + 1, step + 1):
            part = (each - 1) * PARTS // last
            total, steps = sums.get(part, (0.0, 0))
            sums[part] = (total + loss, steps + 1)
        before = step
    return [((part + 0.5) * last / PARTS, total / steps) for part, (total, steps) in sorted(sums.items())]


def draw(path, curves):
    """An SVG with a line for each of `curves`, by name."""
    last = max(step for curve in curves.values() for step, _ in curve)
    lines = {name: smooth(curve, last) for name, curve in curves.items()}
    top = max(loss for line in lines.values() for _, loss in line)
    x = lambda step: LEFT + (WIDTH - LEFT - RIGHT) * step / last
    y = lambda loss: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * loss / top
    text = lambda left, up, said, anchor: f'<text x="{left:.0f}" y="{up:.0f}" text-anchor="{anchor}">{said}</text>'
    parts = [f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="black"/>']
    for number in range(5):
        loss, step = top * number / 4, last * number / 4
        parts += [text(LEFT - 6, y(loss) + 4, f"{loss:.2f}", "end"), text(x(step), HEIGHT - BOTTOM + 18, f"{step:.0f}", "middle")]
    parts += [text(LEFT, 12, "cross entropy", "middle"), text(WIDTH - RIGHT, HEIGHT - 6, "optimizer step", "end")]
    for number, (colour, (name, line)) in enumerate(zip(COLOURS, lines.items())):
        points = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<g fill="{colour}">{text(WIDTH - RIGHT + 12, TOP + 20 + 20 * number, name, "start")}</g>')
    body = "\n".join(parts)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
                    f'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n')
