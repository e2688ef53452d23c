-- The file's customers join on the day of their first purchase; the purchases
-- come in the order of their days. From attach() on, every row of the shop's
-- table is a payment of the programme.

INSERT INTO demo.person
SELECT n, coalesce(min(i.day), '1997-01-01')
FROM generate_series(1, (SELECT max(customer) FROM shop.import)) n
LEFT JOIN shop.import i ON i.customer = n
GROUP BY n;

INSERT INTO demo.purchase (n, person, paid_at, amount, units)
SELECT row_number() OVER (ORDER BY day, line), customer, day, dollars, units
FROM shop.import;

SELECT FROM referral.attach('shop.purchase', user_id => 'customer', amount => 'dollars',
                            payment_id => 'purchase_no', occurred_at => 'day',
                            unit_micro => 1000000);
