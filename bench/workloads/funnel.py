"""The funnel of operators, from counters and from rows."""

from statistics import median

from harness import compare, in_turn, row, script, sql, workload


@workload
def funnel():
    """The funnel from its counters against a count of 1,000,000 clicks and 100,000 attributions."""
    script("workloads/funnel.sql")
    sql("VACUUM ANALYZE", "CHECKPOINT")
    windows = {"all": ("NULL", "NULL", "NULL"),
               "all of a campaign": ("NULL", "NULL", "'campaign 1'"),
               "all of a utm_campaign": ("NULL", "NULL", "'utm 7'"),
               "a month": ("'2025-03-01'", "'2025-04-01'", "NULL"),
               "a month of a campaign": ("'2025-03-01'", "'2025-04-01'", "'campaign 1'")}
    answers = {}

    def milliseconds(case, turn):
        window, of = case
        taken, answer = sql(f"SELECT * FROM bench.funnel('{of}', {', '.join(windows[window])})"
                            ).split("|")
        answers.setdefault(window, {})[of, turn] = answer
        return float(taken)

    figures = in_turn(7, [(window, of) for window in windows for of in ("rows", "counters")],
                      milliseconds)
    print("\nfunnel: milliseconds")
    for (window, of), each in figures.items():
        print(f"  {window:<24}{of:<10}{median(each):>10.2f}   {min(each):.2f} .. {max(each):.2f}")
    for window in windows:
        compare(answers[window])
    for window in windows:
        row(f"funnel, {window}: times faster", figures[window, "rows"], figures[window, "counters"],
            20 if window == "all" else None)
