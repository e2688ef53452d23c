-- An application that has a payments table of its own.

CREATE SCHEMA shop;
CREATE TABLE shop.purchase (
    purchase_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer    integer NOT NULL,
    day         date NOT NULL,
    units       integer NOT NULL,
    dollars     numeric(10, 2) NOT NULL
);

-- The file as it is.
CREATE UNLOGGED TABLE shop.import (
    line     bigint GENERATED ALWAYS AS IDENTITY,
    customer integer,
    day      date,
    units    integer,
    dollars  numeric
);
