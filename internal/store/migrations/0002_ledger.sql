-- The decision ledger, as the audit topic holds it: one row a line. line is what `warder audit verify` reads; the columns are for questions.
-- The table audit of the first step, which the store filled on its own, stays as it is; nothing is added to it any more, and its rows go
-- when their retention ends.
CREATE TABLE IF NOT EXISTS ledger (
    chain    LowCardinality(String),
    seq      UInt64 CODEC(Delta, ZSTD(1)),
    id       FixedString(16),
    position Int64 CODEC(Delta, ZSTD(1)),
    time     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    prev     String CODEC(ZSTD(1)),
    hash     String CODEC(ZSTD(1)),
    key      LowCardinality(String),
    kind     LowCardinality(String),
    decision String CODEC(ZSTD(1)),
    entity   String CODEC(ZSTD(1)),
    action   LowCardinality(String),
    mode     LowCardinality(String),
    creator  LowCardinality(String),
    approver LowCardinality(String),
    rule     LowCardinality(String),
    alert    String CODEC(ZSTD(1)),
    gateway  LowCardinality(String),
    expires  DateTime64(3, 'UTC'),
    line     String CODEC(ZSTD(3)),
    INDEX id_filter id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX decision_filter decision TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (chain, seq, id)
SETTINGS ttl_only_drop_parts = 1;
