"""Spends and payouts of members with many rewards."""

import re
import sys
from statistics import median

from harness import HOT, fill_bulk, first_numbers, report, row, settle, sql, workload

MANY, FEW = 100_000, 1_000
TREE = 500


def pay(payments, payers):
    """In one statement, on 30 days, one after the other."""
    number = next(first_numbers)
    fill_bulk(number, payments, payers)
    sql("INSERT INTO referral.payment (program_id, payment_id, user_id, amount_micro, occurred_at)"
        " SELECT program_id, payment_id, user_id, amount_micro,"
        f" occurred_at + (payment_no - {number}) * 30 / {payments + 1} * interval '1 day'"
        " FROM bench.bulk_payment ORDER BY payment_no")


def commands_of(member, name):
    """He spends a little five times, then is paid the rest."""
    spend = "SELECT FROM referral.spend('{0}', 100000, '{0}-{1}', program_id => 1)"
    return ([(f"{name}, spend", spend.format(member, n)) for n in range(5)] +
            [(f"{name}, request", f"SELECT FROM referral.request_payout('{member}', '{member}',"
                                  " program_id => 1)"),
             (f"{name}, send", f"SELECT FROM referral.payout_sent('{member}', program_id => 1)")])


@workload
def payout():
    """Spend, payout request and payout sent, of a member with 100,000 and with 1,000 rewards."""
    pay(MANY, HOT)
    pay(FEW, (7 * TREE + 1, 7 * TREE + 7))
    settle("referral")
    figures = {}
    for level in range(1, 4):       # what was paid rewarded one member on each level
        members = [100_000 * level + tree for tree in (0, TREE, 10_000)]
        # the first one has the session plan what the others do
        commands = [each for member, name in zip(members, ("", f"{FEW:,}", f"{MANY:,}"))
                    for each in commands_of(member, name)]
        output = sql("\\timing on", *(command for _, command in commands), opponent="referral")
        taken = {}
        for (case, _), milliseconds in zip(commands, re.findall(r"^Time: ([\d.]+) ms", output, re.M),
                                           strict=True):
            taken.setdefault(case, []).append(float(milliseconds))
        for case, each in taken.items():
            figures.setdefault(case, []).append(median(each))
    open_ones = sql("SELECT sum(rewards - closed) FROM referral.earning WHERE program_id = 1"
                    f" AND member_id IN ({', '.join(map(str, members))})")
    if open_ones != "0":
        sys.exit(f"{open_ones} rewards were not paid out")
    report("payout: by the member's rewards", "ms", {
        case: each for case, each in figures.items() if not case.startswith(",")}, 2)
    row("payout: a reward of 100,000 sent, time against one of 1,000",
        [each * FEW / MANY for each in figures[f"{MANY:,}, send"]], figures[f"{FEW:,}, send"])
    row("payout: a spend of a member with 100,000 rewards, time against one with 1,000",
        figures[f"{MANY:,}, spend"], figures[f"{FEW:,}, spend"])
