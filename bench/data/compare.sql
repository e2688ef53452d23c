-- The books of each opponent in one shape, so that they can be compared.

CREATE VIEW bench.referral_balance AS
SELECT member_id, level, sum(amount_micro) AS amount_micro, sum(volume_micro) AS volume_micro,
       sum(deposits_micro) AS deposits_micro, sum(rewards) AS rewards
FROM referral.earning GROUP BY member_id, level;
CREATE VIEW bench.referral_paid AS
SELECT member_id, sum(volume_micro) AS volume_micro, sum(payments) AS payments
FROM referral.paid GROUP BY member_id;
CREATE VIEW bench.floor_balance AS
SELECT member_id, level, sum(amount_micro) AS amount_micro, sum(volume_micro) AS volume_micro,
       sum(deposits_micro) AS deposits_micro, sum(rewards) AS rewards
FROM floor.earning GROUP BY member_id, level;
CREATE VIEW bench.floor_paid AS
SELECT member_id, sum(volume_micro) AS volume_micro, sum(payments) AS payments
FROM floor.paid GROUP BY member_id;
CREATE VIEW bench.plpgsql_balance AS
SELECT member_id, level, amount_micro::numeric, volume_micro::numeric, deposits_micro::numeric,
       rewards::numeric
FROM plpgsql.balance;
CREATE VIEW bench.plpgsql_paid AS
SELECT member_id, volume_micro::numeric, payments::numeric
FROM plpgsql.attribution WHERE payments > 0;

-- Counts, sums and a hash over all rows of an opponent's books.
CREATE FUNCTION bench.books(opponent text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format(
        'SELECT concat_ws('' '', ''payments'', p.*, ''rewards'', r.*, ''balances'', b.*, ''paid'', i.*)
         FROM (SELECT count(*), sum(amount_micro) FROM %1$I.payment) p,
              (SELECT count(*), sum(amount_micro), sum(hashtextextended(concat_ws('','',
                   payment_id, level, member_id, payer_id, tier, rate_bps, flat_micro,
                   base_micro, amount_micro, available_at), 0)) FROM %1$I.reward) r,
              (SELECT sum(rewards), sum(amount_micro),
                      sum(hashtextextended(b::text, 0)) FROM bench.%2$I b) b,
              (SELECT sum(payments), sum(volume_micro),
                      sum(hashtextextended(p::text, 0)) FROM bench.%3$I p) i',
        opponent, opponent || '_balance', opponent || '_paid')
    INTO answer;
    RETURN answer;
END
$$;
