"""The rows as a table of text and as a picture."""

HEADING = ("ratio in one run", "median", "lowest .. highest", "goal", "")


def table(rows):
    """A line for each row."""
    cells = [HEADING] + [row.cells() for row in rows]
    width = [max(len(line[i]) for line in cells) for i in range(len(HEADING))]
    return "".join(f"{a:<{width[0]}}  {b:>{width[1]}}  {c:<{width[2]}}  {d:<{width[3]}}  {e}".rstrip()
                   + "\n" for a, b, c, d, e in cells)


def draw(rows, path):
    """How far each row that has a goal is from it, as an SVG."""
    import matplotlib.pyplot as plt     # not on every machine that counts instructions

    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "referral"})
    rows = [row for row in rows if row.goal]
    figure, axes = plt.subplots(figsize=(11, 0.32 * len(rows) + 1), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        # to the right of 1 is better than the goal, whichever way it points
        each = sorted(row.goal / ratio if row.at_most else ratio / row.goal
                      for ratio in (row.lowest, row.median, row.highest))
        colour = "#1a7f4b" if row.reached else "#b3541e"
        axes.barh(place, each[1] - 1, left=1, color=colour, height=0.6)
        axes.plot([each[0], each[2]], [place, place], color="black", linewidth=1)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(rows)), [f"{row.text}  {row.median:.2f} ({row.cells()[3]})"
                                       for row in reversed(rows)], fontsize=8)
    axes.set_xlabel("times the goal (right of 1: reached), median and spread of the rounds")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
