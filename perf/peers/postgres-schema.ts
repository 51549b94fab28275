/** Tables and statements of the PostgreSQL sides; every statement is prepared once for a connection. */

export const SCHEMA = `
CREATE TABLE stock (
  sku text PRIMARY KEY,
  available bigint NOT NULL CHECK (available >= 0)
) WITH (fillfactor = 50);
CREATE TABLE hold (
  id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000) PRIMARY KEY,
  sku text NOT NULL,
  quantity int NOT NULL,
  holder text NOT NULL,
  deadline timestamptz NOT NULL
);
CREATE INDEX hold_by_deadline ON hold (deadline);`;

/** $1 SKU, $2 quantity, $3 holder, $4 time to live in ms. One row inserted, or none when there are too few units. */
export const HOLD = `
WITH taken AS (
  UPDATE stock SET available = available - $2::int WHERE sku = $1::text AND available >= $2::int RETURNING sku
)
INSERT INTO hold (sku, quantity, holder, deadline)
SELECT sku, $2::int, $3::text, now() + $4::int * interval '1 ms' FROM taken RETURNING id`;

/**
 * $1 SKUs, $2 quantities, $3 holder, $4 time to live in ms. Each hold is granted if there is enough for it and those before it. Rows are
 * locked in the order of their SKUs, so that statements do not wait for each other in a circle.
 */
export const HOLD_MANY = `
WITH item AS (
  SELECT sku, quantity, sum(quantity) OVER (PARTITION BY sku ORDER BY at) AS up_to
  FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS wanted (sku, quantity, at)
), locked AS (
  SELECT sku, available FROM stock WHERE sku = ANY ($1::text[]) ORDER BY sku FOR UPDATE
), granted AS (
  SELECT item.sku, item.quantity FROM item JOIN locked USING (sku) WHERE up_to <= available
), taken AS (
  UPDATE stock SET available = available - sums.quantity
  FROM (SELECT sku, sum(quantity) AS quantity FROM granted GROUP BY sku) AS sums
  WHERE stock.sku = sums.sku
)
INSERT INTO hold (sku, quantity, holder, deadline)
SELECT sku, quantity, $3::text, now() + $4::int * interval '1 ms' FROM granted RETURNING id`;

export const BEGIN = 'BEGIN';
export const COMMIT = 'COMMIT';
export const SELECT_FOR_UPDATE = 'SELECT available FROM stock WHERE sku = $1::text FOR UPDATE';
export const TAKE_UNITS = 'UPDATE stock SET available = available - $2::int WHERE sku = $1::text';
export const INSERT_HOLD = `
INSERT INTO hold (sku, quantity, holder, deadline)
VALUES ($1::text, $2::int, $3::text, now() + $4::int * interval '1 ms') RETURNING id`;

/**
 * $1 most holds to end. Gives their units back and returns how many holds there were. Rows are locked in the order of their SKUs here too,
 * before the first is changed; holds are deleted by their place, which needs no other index and no choice of plan.
 */
export const SWEEP = `
WITH due AS (
  DELETE FROM hold WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM hold WHERE deadline <= now() ORDER BY deadline LIMIT $1::int
  )) RETURNING sku, quantity
), sums AS (
  SELECT sku, sum(quantity) AS quantity FROM due GROUP BY sku
), locked AS (
  SELECT sku FROM stock WHERE sku = ANY (ARRAY (SELECT sku FROM sums)) ORDER BY sku FOR UPDATE
), back AS (
  UPDATE stock SET available = available + sums.quantity FROM sums
  WHERE stock.sku = sums.sku AND (SELECT count(*) FROM locked) > 0
)
SELECT count(*) FROM due`;
