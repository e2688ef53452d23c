-- What members and operators read of the books themselves: what was recorded
-- up to an instant, and payouts. The counters know only of now, so a statement
-- walks a member's history.

CREATE FUNCTION referral.statement(
    user_id text,
    at timestamptz DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.statement_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    said referral.statement_row;
    holder bigint;
BEGIN
    SELECT m.member_id, p.currency, coalesce(statement.at, clock_timestamp())
      INTO holder, said.currency, said.at
      FROM referral.member AS m
           JOIN referral.program AS p ON p.program_id = m.program_id
     WHERE m.program_id = statement.program_id
       AND m.user_id = statement.user_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT coalesce(sum(r.amount_micro), 0),
           coalesce(sum(taken.reversed_micro), 0),
           coalesce(sum(taken.written_off_micro), 0),
           coalesce(sum(r.amount_micro - coalesce(taken.reversed_micro, 0))
                    FILTER (WHERE r.available_at > said.at), 0)
      INTO said.earned_micro, said.reversed_micro, said.written_off_micro, said.pending_micro
      FROM referral.reward AS r
           CROSS JOIN LATERAL (
               SELECT max(g.total_micro) AS total_micro
                 FROM referral.refund_applied AS g
                WHERE g.program_id = r.program_id
                  AND g.payment_no = r.reward_id / 16
                  AND g.applied_at <= said.at) AS given_back
           CROSS JOIN LATERAL referral.reversal(r.program_id, r.reward_id, r.amount_micro,
                                                r.base_micro, given_back.total_micro) AS taken
     WHERE r.program_id = statement.program_id
       AND r.member_id = holder
       AND r.created_at <= said.at;

    SELECT coalesce(sum(a.amount_micro), 0)
      INTO said.adjusted_micro
      FROM referral.adjustment AS a
     WHERE a.program_id = statement.program_id
       AND a.member_id = holder
       AND a.created_at <= said.at;

    SELECT coalesce(sum(s.amount_micro), 0)
      INTO said.spent_micro
      FROM referral.spend AS s
     WHERE s.program_id = statement.program_id
       AND s.member_id = holder
       AND s.spent_at <= said.at
       AND coalesce(s.unspent_at > said.at, true);

    SELECT coalesce(sum(p.amount_micro) FILTER (WHERE p.status = 'sent'
                                                  AND p.completed_at <= said.at), 0),
           coalesce(sum(p.amount_micro) FILTER (WHERE coalesce(p.completed_at > said.at, true)), 0)
      INTO said.paid_out_micro, said.reserved_micro
      FROM referral.payout AS p
     WHERE p.program_id = statement.program_id
       AND p.member_id = holder
       AND p.requested_at <= said.at;

    said.lifetime_micro := said.earned_micro - said.reversed_micro + said.adjusted_micro;
    said.available_micro := said.lifetime_micro - said.pending_micro - said.spent_micro
                            - said.paid_out_micro - said.reserved_micro;
    RETURN NEXT said;
END
$$;
COMMENT ON FUNCTION referral.statement(text, timestamptz, bigint) IS
'A member''s balance as recorded at an instant, and what it was made of; from the books, not from
the counters.
user_id: the application''s id of the member. One row; none for an unknown user. at: any instant,
NULL for now; what is recorded with that time is in it. Amounts are in micro-units. The cost grows
with the member''s history.';

CREATE FUNCTION referral.list_payouts(
    user_id text,
    max_rows integer DEFAULT NULL,
    skip integer DEFAULT NULL,
    program_id bigint DEFAULT referral.current_program())
    RETURNS SETOF referral.payout_row
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET enable_sort = off
    SET jit = off
AS $$
DECLARE
    payee bigint := (SELECT m.member_id
                       FROM referral.member AS m
                      WHERE m.program_id = list_payouts.program_id
                        AND m.user_id = list_payouts.user_id);
BEGIN
    RETURN QUERY
    SELECT p.payout_id::text, p.amount_micro, p.network, p.address, p.status, p.reference, p.note,
           p.requested_at, p.completed_at, list_payouts.user_id, p.batch_id::text
      FROM referral.payout AS p
     WHERE p.program_id = list_payouts.program_id
       AND (p.member_id, p.payout_no) >= (payee, 0)
       AND (p.member_id, p.payout_no) <= (payee, 9223372036854775807)
     ORDER BY p.member_id DESC, p.payout_no DESC
     LIMIT CASE WHEN list_payouts.max_rows >= 0 THEN list_payouts.max_rows ELSE 50 END
    OFFSET greatest(list_payouts.skip, 0);
END
$$;
COMMENT ON FUNCTION referral.list_payouts(text, integer, integer, bigint) IS
'Payouts of a member, the newest request first.
user_id: the application''s id of the member; an unknown one has none. max_rows: page length, NULL
or negative for 50. skip: rows passed over first, NULL or negative for 0. Amounts are in
micro-units.';
