-- Draws :members people and :payments purchases, the same ones each time.
-- People joined over the last 180 days; who joined later bought less often, and
-- amounts are skewed: most are small, a few are large.

-- The nth number of a stream, from 0 up to 1.
CREATE FUNCTION demo.draw(stream bigint, n bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE
    RETURN (hashint8extended(n, stream) & x'fffffffffffff'::bigint)::double precision / 2 ^ 52;

INSERT INTO demo.person
SELECT n, date_trunc('day', now()) - (180 - 180.0 * n / :members) * '1 day'::interval
FROM generate_series(1, :members) n;

INSERT INTO demo.purchase (n, person, paid_at, amount)
SELECT row_number() OVER (ORDER BY d.paid_at, d.n), d.person, d.paid_at,
       round((2 + 20 * exp(2 * demo.draw(3, d.n)) * demo.draw(4, d.n))::numeric, 2)
FROM (SELECT g.n, p.n AS person,
             p.joined_at + (now() - p.joined_at) * demo.draw(2, g.n) AS paid_at
      FROM generate_series(1, :payments) g(n)
      JOIN demo.person p ON p.n = 1 + floor(:members * demo.draw(1, g.n) ^ 1.5)) d;
