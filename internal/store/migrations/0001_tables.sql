-- Every statement can be run again, and by several instances at once. Statements end with a semicolon at the end of a line.

-- One row a request. The engine is chosen so that repeats collapse even where a high-water mark did not keep them out.
-- Sorted for the questions of an investigation: an hour, then one address.
CREATE TABLE IF NOT EXISTS events (
    id                FixedString(16),
    time              DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    tap               LowCardinality(String),
    seq               UInt64 CODEC(Delta, ZSTD(1)),
    kafka_partition   UInt16,
    dropped           UInt64 CODEC(T64, ZSTD(1)),
    request_id        String CODEC(ZSTD(1)),
    method            LowCardinality(String),
    scheme            LowCardinality(String),
    protocol          LowCardinality(String),
    host              LowCardinality(String),
    path              String CODEC(ZSTD(1)),
    query             String CODEC(ZSTD(1)),
    user_agent        String CODEC(ZSTD(1)),
    referer           String CODEC(ZSTD(1)),
    headers           Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    request_size      Int64 CODEC(T64, ZSTD(1)),
    duration          Int64 CODEC(T64, ZSTD(1)),
    code              Int32 CODEC(T64, ZSTD(1)),
    response_size     Int64 CODEC(T64, ZSTD(1)),
    content_type      LowCardinality(String),
    source_address    IPv6 CODEC(ZSTD(1)),
    source_port       UInt16 CODEC(ZSTD(1)),
    source_peer       IPv6 CODEC(ZSTD(1)),
    country           LowCardinality(String),
    asn               UInt32 CODEC(ZSTD(1)),
    principal_id      String CODEC(ZSTD(1)),
    principal_type    LowCardinality(String),
    tenant            LowCardinality(String),
    roles             Array(LowCardinality(String)),
    auth_outcome      LowCardinality(String),
    auth_reason       LowCardinality(String),
    route             LowCardinality(String),
    api_version       LowCardinality(String),
    api_name          LowCardinality(String),
    tls_version       LowCardinality(String),
    sni               LowCardinality(String),
    tls_fingerprint   LowCardinality(String),
    model             LowCardinality(String),
    prompt_tokens     Int64 CODEC(T64, ZSTD(1)),
    completion_tokens Int64 CODEC(T64, ZSTD(1)),
    enforced_by       String CODEC(ZSTD(1)),
    enforced_action   LowCardinality(String),
    waf_score         Int64 CODEC(T64, ZSTD(1)),
    waf_rules         Array(LowCardinality(String)),
    intel_lists       Array(LowCardinality(String)),
    ext               Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    truncated         Bool,
    INDEX id_filter id TYPE bloom_filter(0.01) GRANULARITY 4
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (toStartOfHour(time), source_address, time, id)
SETTINGS ttl_only_drop_parts = 1;

-- One row an alert; record is its JSON form, the other columns are for asking.
CREATE TABLE IF NOT EXISTS alerts (
    id           String CODEC(ZSTD(1)),
    time         DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    rule         LowCardinality(String),
    rule_version LowCardinality(String),
    title        LowCardinality(String),
    severity     LowCardinality(String),
    rank         Int8,
    mode         LowCardinality(String),
    tags         Array(LowCardinality(String)),
    window_start DateTime64(9, 'UTC'),
    window_end   DateTime64(9, 'UTC'),
    entity       Map(LowCardinality(String), String),
    measured     Map(LowCardinality(String), Float64),
    events       Array(String) CODEC(ZSTD(1)),
    event_count  Int64,
    dropped      UInt64,
    record       String CODEC(ZSTD(3)),
    INDEX id_filter id TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (rule, time, id)
SETTINGS ttl_only_drop_parts = 1;

-- The full history: one row a change of a decision. change is a hash of the record and its time on the bus.
CREATE TABLE IF NOT EXISTS decisions (
    id       String CODEC(ZSTD(1)),
    change   FixedString(16),
    content  FixedString(16),
    updated  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    action   LowCardinality(String),
    scope    LowCardinality(String),
    value    String CODEC(ZSTD(1)),
    mode     LowCardinality(String),
    state    LowCardinality(String),
    creator  LowCardinality(String),
    alert    String CODEC(ZSTD(1)),
    rule     LowCardinality(String),
    created  DateTime64(9, 'UTC'),
    expires  DateTime64(9, 'UTC'),
    note     String CODEC(ZSTD(1)),
    record   String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(updated)
ORDER BY (id, updated, change)
SETTINGS ttl_only_drop_parts = 1;

-- Who did what, append only.
CREATE TABLE IF NOT EXISTS audit (
    id      FixedString(16),
    time    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    actor   LowCardinality(String),
    action  LowCardinality(String),
    subject String CODEC(ZSTD(1)),
    detail  String CODEC(ZSTD(3)),
    INDEX id_filter id TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, id)
SETTINGS ttl_only_drop_parts = 1;
