"""What members read, in a small and in a large ledger."""

import subprocess
import sys

from harness import HERE, in_turn, ledger, medians_of, report, row, sql, workload

SMALL, LARGE = 100_000, 10_000_000
ROUNDS = 3


@workload
def reads():
    """Overview, levels and list of rewards of a member with 10 and with 1,000,000 rewards."""
    anybody = "\\set few random(400001, 401000)\n"
    many = "a tenth of all rewards"
    calls = {
        "overview, 10 rewards": "SELECT * FROM referral.referral_overview('400001', 1)",
        "overview, anybody's": anybody + "SELECT * FROM referral.referral_overview(:few, 1)",
        f"overview, {many}": "SELECT * FROM referral.referral_overview('600000', 1)",
        "level_stats, anybody's": anybody + "SELECT * FROM referral.level_stats(:few, 1)",
        f"level_stats, {many}": "SELECT * FROM referral.level_stats('600000', 1)",
        "list_rewards, anybody's":
            anybody + "SELECT * FROM referral.list_rewards(:few, program_id => 1)",
        f"list_rewards, {many}": "SELECT * FROM referral.list_rewards('600000', program_id => 1)"}
    deep = "list_rewards, after 100,000"

    def measure(size, turn):
        with ledger(size):
            if size == SMALL:
                return medians_of(calls, 3000)
            below = sql("SELECT reward_id FROM referral.reward WHERE program_id = 1"
                        " AND member_id = 600000 ORDER BY reward_id DESC OFFSET 99999 LIMIT 1")
            page = "SELECT * FROM referral.list_rewards('600000', before_id => {}, program_id => 1)"
            return medians_of(calls | {deep: page.format(below)}, 3000)

    figures = {(case, size): [of_round[case] for of_round in rounds]
               for size, rounds in in_turn(ROUNDS, [SMALL, LARGE], measure).items()
               for case in rounds[0]}
    report("reads: a call, by rewards in the ledger", "microseconds",
           {f"{case}, {size:,}": each for (case, size), each in figures.items()})
    with ledger(LARGE):
        pay_apart()
        apart = in_turn(ROUNDS, ["apart"], lambda case, turn: medians_of(calls, 3000))["apart"]
    report("reads: the same, after 16 sessions paid at once", "microseconds",
           {case: [of_round[case] for of_round in apart] for case in calls})

    row("reads: overview, 1,000,000 rewards against 10", figures[f"overview, {many}", LARGE],
        figures["overview, 10 rewards", LARGE], 1.3, at_most=True)
    row("reads: the same, paid by 16 sessions at once",
        [of_round[f"overview, {many}"] for of_round in apart],
        [of_round["overview, 10 rewards"] for of_round in apart], 5, at_most=True)
    for case in calls:
        row(f"reads: {case}, in 10,000,000 against 100,000", figures[case, LARGE],
            figures[case, SMALL], 1.3 if "overview" in case else None, at_most=True)
    row("reads: list_rewards, the page after 100,000 against the first", figures[deep, LARGE],
        figures[f"list_rewards, {many}", LARGE])


def pay_apart():
    """Have 16 sessions pay below 600000 at once, each of whom counts on a row of its own."""
    subprocess.run(["pgbench", "-n", "-c", "16", "-t", "1", "-f",
                    HERE / "workloads/apart.pgbench"], check=True, stdout=subprocess.DEVNULL)
    counted = sql("SELECT count(*) FROM referral.earning WHERE program_id = 1"
                  " AND member_id = 600000")
    if int(counted) < 16 * 90:
        sys.exit(f"there are {counted} counters only")
