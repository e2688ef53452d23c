-- What became of rewards. Replaced by each install().

CREATE OR REPLACE VIEW referral.reward_state AS
SELECT r.program_id, r.reward_id, r.member_id, r.payer_id, r.level, r.payment_id, r.available_at,
       r.amount_micro,
       given_back.target_micro,
       coalesce(w.amount_micro, 0) AS written_off_micro,
       given_back.target_micro - coalesce(w.amount_micro, 0) AS reversed_micro,
       coalesce(s.amount_micro, 0) AS settled_micro,
       CASE WHEN given_back.target_micro - coalesce(w.amount_micro, 0) >= r.amount_micro
            THEN 'reversed'
            WHEN s.amount_micro >= r.amount_micro - given_back.target_micro
                                   + coalesce(w.amount_micro, 0)
            THEN CASE WHEN s.last_no = s.last_spent_no THEN 'spent' ELSE 'paid_out' END
       END AS closed
  FROM referral.reward r
       LEFT JOIN (SELECT f.program_id, f.payment_no, max(f.total_micro) AS total_micro
                    FROM referral.refund_applied f
                   GROUP BY f.program_id, f.payment_no) f
         ON f.program_id = r.program_id AND f.payment_no = r.reward_id / 16
       LEFT JOIN (SELECT w.program_id, w.reward_id, sum(w.amount_micro) AS amount_micro
                    FROM referral.write_off w
                   GROUP BY w.program_id, w.reward_id) w
         ON w.program_id = r.program_id AND w.reward_id = r.reward_id
       LEFT JOIN (SELECT s.program_id, s.member_id, s.reward_id,
                         sum(s.amount_micro) AS amount_micro,
                         max(s.settlement_no) AS last_no,
                         max(s.settlement_no) FILTER (WHERE s.kind = 'spent') AS last_spent_no
                    FROM referral.settlement s
                   GROUP BY s.program_id, s.member_id, s.reward_id) s
         ON s.program_id = r.program_id AND s.member_id = r.member_id
            AND s.reward_id = r.reward_id
       CROSS JOIN LATERAL (
           -- never more than the amount, so that a broken total breaks nothing else
           SELECT CASE WHEN f.total_micro IS NULL OR r.base_micro <= 0 THEN 0
                       ELSE pg_catalog.div(r.amount_micro::numeric
                                           * least(f.total_micro, r.base_micro), r.base_micro)
                  END::bigint AS target_micro) given_back;
COMMENT ON VIEW referral.reward_state IS
'Rewards with what refunds took back (reversed_micro = target_micro - written_off_micro), what spends and sent payouts used up (settled_micro), and closed: ''reversed'', ''spent'' or ''paid_out'', NULL while there is something left. For whole programs: of one member, list_rewards() is the quicker one.';
