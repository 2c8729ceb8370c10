-- Events anew: sorted by what identifies them, without the identity itself, which follows from tap and seq; codecs as measured (docs/store.md).
-- The rows of the table before come over day by day, see upgrade.go.
CREATE TABLE IF NOT EXISTS events (
    id                FixedString(16) ALIAS toFixedString(concat(reverse(reinterpretAsFixedString(xxHash64(tap))), reverse(reinterpretAsFixedString(seq))), 16),
    time              DateTime64(9, 'UTC') CODEC(Delta, T64('bit'), ZSTD(1)),
    tap               LowCardinality(String) CODEC(ZSTD(1)),
    seq               UInt64 CODEC(Delta, T64('bit'), ZSTD(1)),
    kafka_partition   UInt16,
    dropped           UInt64 CODEC(T64, ZSTD(1)),
    request_uuid      UUID CODEC(NONE),
    request_text      String CODEC(ZSTD(1)),
    request_id        String ALIAS if(request_uuid = toUUID('00000000-0000-0000-0000-000000000000'), request_text, toString(request_uuid)),
    method            LowCardinality(String) CODEC(ZSTD(1)),
    scheme            LowCardinality(String) CODEC(ZSTD(1)),
    protocol          LowCardinality(String) CODEC(ZSTD(1)),
    host              LowCardinality(String) CODEC(ZSTD(1)),
    path              String CODEC(ZSTD(6)),
    query             String CODEC(ZSTD(3)),
    user_agent        LowCardinality(String) CODEC(ZSTD(1)),
    referer           LowCardinality(String) CODEC(ZSTD(1)),
    headers           Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    request_size      Int64 CODEC(ZSTD(1)),
    duration          Int64 CODEC(T64('bit'), ZSTD(1)),
    code              Int32 CODEC(ZSTD(1)),
    response_size     Int64 CODEC(T64('bit'), ZSTD(1)),
    content_type      LowCardinality(String) CODEC(ZSTD(1)),
    source_address    IPv6 CODEC(ZSTD(1)),
    source_port       UInt16 CODEC(ZSTD(1)),
    source_peer       IPv6 CODEC(ZSTD(1)),
    country           LowCardinality(String) CODEC(ZSTD(1)),
    asn               UInt32 CODEC(ZSTD(1)),
    principal_id      String CODEC(ZSTD(3)),
    principal_type    LowCardinality(String) CODEC(ZSTD(1)),
    tenant            LowCardinality(String) CODEC(ZSTD(1)),
    roles             Array(LowCardinality(String)) CODEC(ZSTD(1)),
    auth_outcome      LowCardinality(String) CODEC(ZSTD(1)),
    auth_reason       LowCardinality(String) CODEC(ZSTD(1)),
    route             LowCardinality(String) CODEC(ZSTD(1)),
    api_version       LowCardinality(String) CODEC(ZSTD(1)),
    api_name          LowCardinality(String) CODEC(ZSTD(1)),
    tls_version       LowCardinality(String) CODEC(ZSTD(1)),
    sni               LowCardinality(String) CODEC(ZSTD(1)),
    tls_fingerprint   LowCardinality(String) CODEC(ZSTD(1)),
    model             LowCardinality(String) CODEC(ZSTD(1)),
    prompt_tokens     Int64 CODEC(T64, ZSTD(1)),
    completion_tokens Int64 CODEC(T64, ZSTD(1)),
    enforced_by       String CODEC(ZSTD(1)),
    enforced_action   LowCardinality(String) CODEC(ZSTD(1)),
    waf_score         Int64 CODEC(T64, ZSTD(1)),
    waf_rules         Array(LowCardinality(String)) CODEC(ZSTD(1)),
    intel_lists       Array(LowCardinality(String)) CODEC(ZSTD(1)),
    ext               Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    truncated         Bool,
    INDEX seq_filter seq TYPE bloom_filter(0.24) GRANULARITY 1,
    INDEX principal_filter principal_id TYPE bloom_filter(0.02) GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (toStartOfHour(time), source_address, time, tap, seq)
SETTINGS ttl_only_drop_parts = 1, min_level_for_wide_part = 1, auto_statistics_types = '';

-- What the rollups need of an event: a block of events goes into the table events first, and then here, with a token by which each rollup knows
-- a block that comes again. Nothing stays in this table.
CREATE TABLE IF NOT EXISTS rollup_feed (
    kafka_partition   UInt16,
    time              DateTime64(9, 'UTC'),
    api_name          LowCardinality(String),
    route             LowCardinality(String),
    method            LowCardinality(String),
    code              Int32,
    auth_outcome      LowCardinality(String),
    enforced_action   LowCardinality(String),
    request_size      Int64,
    response_size     Int64,
    duration          Int64,
    source_address    IPv6,
    country           LowCardinality(String),
    asn               UInt32,
    principal_id      String,
    tenant            LowCardinality(String),
    host              LowCardinality(String),
    api_version       LowCardinality(String),
    content_type      LowCardinality(String),
    model             LowCardinality(String),
    prompt_tokens     Int64,
    completion_tokens Int64,
    waf_score         Int64,
    intel_lists       Array(LowCardinality(String))
) ENGINE = Null;

-- What a writer of events is about to do, so that whoever comes after it can finish that: one row a block, and one with done set when the blocks of
-- a number are in the rollups. taps, firsts and lasts tell which events a block has, earliest and latest the span of their times.
CREATE TABLE IF NOT EXISTS event_blocks (
    kafka_partition UInt16,
    number          UInt64,
    block           UInt32,
    done            Bool,
    day             UInt32,
    token           String,
    taps            Array(String),
    firsts          Array(UInt64),
    lasts           Array(UInt64),
    earliest        DateTime64(9, 'UTC'),
    latest          DateTime64(9, 'UTC'),
    written         DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(written)
ORDER BY (kafka_partition, number, done, block)
TTL toDateTime(written) + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1;

-- The rollups: what dashboards and baselines ask over long spans, kept by the minute, the hour or the day. Each has one partition a day.
-- "denied" is 401, 403 or a failed authentication; "refused" is what a decision of Warder's answered.
CREATE TABLE IF NOT EXISTS traffic_minute (
    time           DateTime('UTC'),
    api_name       LowCardinality(String),
    route          LowCardinality(String),
    method         LowCardinality(String),
    code           UInt16,
    auth_outcome   LowCardinality(String),
    action         LowCardinality(String),
    requests       SimpleAggregateFunction(sum, UInt64),
    request_bytes  SimpleAggregateFunction(sum, UInt64),
    response_bytes SimpleAggregateFunction(sum, UInt64),
    duration       SimpleAggregateFunction(sum, UInt64),
    slowest        SimpleAggregateFunction(max, UInt64),
    clients        AggregateFunction(uniqCombined(12), IPv6)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, api_name, route, method, code, auth_outcome, action)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000;

CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_minute_feed TO traffic_minute AS
SELECT toStartOfMinute(e.time) AS time, api_name, route, method, toUInt16(e.code) AS code, auth_outcome, enforced_action AS action,
    count() AS requests, sum(toUInt64(e.request_size)) AS request_bytes, sum(toUInt64(e.response_size)) AS response_bytes,
    sum(toUInt64(e.duration)) AS duration, max(toUInt64(e.duration)) AS slowest, uniqCombinedState(12)(e.source_address) AS clients
FROM rollup_feed AS e
GROUP BY time, api_name, route, method, code, auth_outcome, action;

CREATE TABLE IF NOT EXISTS traffic_hour (
    time           DateTime('UTC'),
    api_name       LowCardinality(String),
    route          LowCardinality(String),
    method         LowCardinality(String),
    code           UInt16,
    auth_outcome   LowCardinality(String),
    action         LowCardinality(String),
    requests       SimpleAggregateFunction(sum, UInt64),
    request_bytes  SimpleAggregateFunction(sum, UInt64),
    response_bytes SimpleAggregateFunction(sum, UInt64),
    duration       SimpleAggregateFunction(sum, UInt64),
    slowest        SimpleAggregateFunction(max, UInt64),
    clients        AggregateFunction(uniqCombined(12), IPv6)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, api_name, route, method, code, auth_outcome, action)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000;

CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_hour_feed TO traffic_hour AS
SELECT toStartOfHour(m.time) AS time, api_name, route, method, code, auth_outcome, action,
    sum(m.requests) AS requests, sum(m.request_bytes) AS request_bytes, sum(m.response_bytes) AS response_bytes,
    sum(m.duration) AS duration, max(m.slowest) AS slowest, uniqCombinedMergeState(12)(m.clients) AS clients
FROM traffic_minute AS m
GROUP BY time, api_name, route, method, code, auth_outcome, action;

-- Where traffic comes from.
CREATE TABLE IF NOT EXISTS origin_minute (
    time      DateTime('UTC'),
    country   LowCardinality(String),
    asn       UInt32,
    requests  SimpleAggregateFunction(sum, UInt64),
    denied    SimpleAggregateFunction(sum, UInt64),
    errors    SimpleAggregateFunction(sum, UInt64),
    refused   SimpleAggregateFunction(sum, UInt64),
    clients   AggregateFunction(uniqCombined(12), IPv6)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, country, asn)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000;

CREATE MATERIALIZED VIEW IF NOT EXISTS origin_minute_feed TO origin_minute AS
SELECT toStartOfMinute(e.time) AS time, country, asn, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code >= 500) AS errors,
    countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused, uniqCombinedState(12)(source_address) AS clients
FROM rollup_feed AS e
GROUP BY time, country, asn;

-- What each client, user and tenant did, hour by hour. kind is address, principal or tenant.
CREATE TABLE IF NOT EXISTS entity_hour (
    time           DateTime('UTC'),
    kind           LowCardinality(String),
    value          String CODEC(ZSTD(1)),
    requests       SimpleAggregateFunction(sum, UInt64),
    denied         SimpleAggregateFunction(sum, UInt64),
    not_found      SimpleAggregateFunction(sum, UInt64),
    limited        SimpleAggregateFunction(sum, UInt64),
    errors         SimpleAggregateFunction(sum, UInt64),
    refused        SimpleAggregateFunction(sum, UInt64),
    writes         SimpleAggregateFunction(sum, UInt64),
    flagged        SimpleAggregateFunction(sum, UInt64),
    response_bytes SimpleAggregateFunction(sum, UInt64),
    tokens         SimpleAggregateFunction(sum, UInt64),
    first_seen     SimpleAggregateFunction(min, DateTime('UTC')),
    last_seen      SimpleAggregateFunction(max, DateTime('UTC')),
    routes         AggregateFunction(uniqCombined(12), String),
    addresses      AggregateFunction(uniqCombined(12), IPv6),
    principals     AggregateFunction(uniqCombined(12), String),
    country        SimpleAggregateFunction(max, LowCardinality(String))
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (kind, value, time)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000;

-- An address is written as people do: a mapped IPv4 address without its prefix.
CREATE MATERIALIZED VIEW IF NOT EXISTS entity_hour_address TO entity_hour AS
SELECT toStartOfHour(e.time) AS time, 'address' AS kind, if(e.source_address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), substring(toString(e.source_address), 8), toString(e.source_address)) AS value, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code = 404) AS not_found, countIf(code = 429) AS limited,
    countIf(code >= 500) AS errors, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(method NOT IN ('GET', 'HEAD', 'OPTIONS')) AS writes, countIf(waf_score > 0 OR notEmpty(intel_lists)) AS flagged,
    sum(toUInt64(e.response_size)) AS response_bytes, sum(toUInt64(prompt_tokens + completion_tokens)) AS tokens,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen,
    uniqCombinedState(12)(toString(route)) AS routes, uniqCombinedState(12)(e.source_address) AS addresses,
    uniqCombinedStateIf(12)(e.principal_id, e.principal_id != '') AS principals, max(e.country) AS country
FROM rollup_feed AS e
GROUP BY time, e.source_address;

CREATE MATERIALIZED VIEW IF NOT EXISTS entity_hour_principal TO entity_hour AS
SELECT toStartOfHour(e.time) AS time, 'principal' AS kind, e.principal_id AS value, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code = 404) AS not_found, countIf(code = 429) AS limited,
    countIf(code >= 500) AS errors, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(method NOT IN ('GET', 'HEAD', 'OPTIONS')) AS writes, countIf(waf_score > 0 OR notEmpty(intel_lists)) AS flagged,
    sum(toUInt64(e.response_size)) AS response_bytes, sum(toUInt64(prompt_tokens + completion_tokens)) AS tokens,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen,
    uniqCombinedState(12)(toString(route)) AS routes, uniqCombinedState(12)(e.source_address) AS addresses,
    uniqCombinedStateIf(12)(e.principal_id, e.principal_id != '') AS principals, max(e.country) AS country
FROM rollup_feed AS e
WHERE e.principal_id != ''
GROUP BY time, e.principal_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS entity_hour_tenant TO entity_hour AS
SELECT toStartOfHour(e.time) AS time, 'tenant' AS kind, toString(e.tenant) AS value, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code = 404) AS not_found, countIf(code = 429) AS limited,
    countIf(code >= 500) AS errors, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(method NOT IN ('GET', 'HEAD', 'OPTIONS')) AS writes, countIf(waf_score > 0 OR notEmpty(intel_lists)) AS flagged,
    sum(toUInt64(e.response_size)) AS response_bytes, sum(toUInt64(prompt_tokens + completion_tokens)) AS tokens,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen,
    uniqCombinedState(12)(toString(route)) AS routes, uniqCombinedState(12)(e.source_address) AS addresses,
    uniqCombinedStateIf(12)(e.principal_id, e.principal_id != '') AS principals, max(e.country) AS country
FROM rollup_feed AS e
WHERE e.tenant != ''
GROUP BY time, e.tenant;

-- The API inventory: what is called, since when, by whom and how it answers, day by day.
CREATE TABLE IF NOT EXISTS endpoints (
    day            Date,
    api_name       LowCardinality(String),
    host           LowCardinality(String),
    method         LowCardinality(String),
    route          LowCardinality(String),
    api_version    LowCardinality(String),
    first_seen     SimpleAggregateFunction(min, DateTime('UTC')),
    last_seen      SimpleAggregateFunction(max, DateTime('UTC')),
    requests       SimpleAggregateFunction(sum, UInt64),
    authenticated  SimpleAggregateFunction(sum, UInt64),
    anonymous      SimpleAggregateFunction(sum, UInt64),
    failed         SimpleAggregateFunction(sum, UInt64),
    client_errors  SimpleAggregateFunction(sum, UInt64),
    server_errors  SimpleAggregateFunction(sum, UInt64),
    refused        SimpleAggregateFunction(sum, UInt64),
    response_bytes SimpleAggregateFunction(sum, UInt64),
    largest        SimpleAggregateFunction(max, UInt64),
    clients        AggregateFunction(uniqCombined(12), IPv6),
    principals     AggregateFunction(uniqCombined(12), String),
    content_types  SimpleAggregateFunction(groupUniqArrayArray(8), Array(String))
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(day)
ORDER BY (api_name, host, route, method, api_version, day)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000;

CREATE MATERIALIZED VIEW IF NOT EXISTS endpoints_feed TO endpoints AS
SELECT toDate(e.time) AS day, api_name, host, method, route, api_version,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen, count() AS requests,
    countIf(auth_outcome = 'success') AS authenticated, countIf(auth_outcome IN ('', 'anonymous')) AS anonymous,
    countIf(auth_outcome = 'failure') AS failed, countIf(code >= 400 AND code < 500) AS client_errors, countIf(code >= 500) AS server_errors,
    countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused, sum(toUInt64(response_size)) AS response_bytes,
    max(toUInt64(response_size)) AS largest, uniqCombinedState(12)(source_address) AS clients,
    uniqCombinedStateIf(12)(principal_id, principal_id != '') AS principals, groupUniqArrayIf(8)(toString(content_type), content_type != '') AS content_types
FROM rollup_feed AS e
GROUP BY day, api_name, host, method, route, api_version;

-- Calls of language models.
CREATE TABLE IF NOT EXISTS llm_minute (
    time              DateTime('UTC'),
    model             LowCardinality(String),
    tenant            LowCardinality(String),
    principal_id      String CODEC(ZSTD(1)),
    route             LowCardinality(String),
    requests          SimpleAggregateFunction(sum, UInt64),
    prompt_tokens     SimpleAggregateFunction(sum, UInt64),
    completion_tokens SimpleAggregateFunction(sum, UInt64),
    denied            SimpleAggregateFunction(sum, UInt64),
    refused           SimpleAggregateFunction(sum, UInt64),
    errors            SimpleAggregateFunction(sum, UInt64),
    largest_prompt    SimpleAggregateFunction(max, UInt64)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, model, tenant, principal_id, route)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_minute_feed TO llm_minute AS
SELECT toStartOfMinute(e.time) AS time, model, tenant, principal_id, route, count() AS requests,
    sum(toUInt64(e.prompt_tokens)) AS prompt_tokens, sum(toUInt64(e.completion_tokens)) AS completion_tokens,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(code >= 500) AS errors, max(toUInt64(e.prompt_tokens)) AS largest_prompt
FROM rollup_feed AS e
WHERE model != ''
GROUP BY time, model, tenant, principal_id, route;

-- When an alert was stored, by which those that come are followed: its time is that of its event.
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS stored DateTime64(3, 'UTC') DEFAULT time;

-- What people made of an alert: one row a change; the newest one holds. state is open, acknowledged or closed; verdict is "",
-- true_positive, false_positive or benign.
CREATE TABLE IF NOT EXISTS triage (
    alert   String CODEC(ZSTD(1)),
    time    DateTime64(3, 'UTC'),
    state   LowCardinality(String),
    verdict LowCardinality(String),
    by      LowCardinality(String),
    note    String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (alert, time)
SETTINGS ttl_only_drop_parts = 1;

-- What people, receivers and SIEMs were told: one row an attempt that came to an end. result is delivered, retry, failed or dropped.
CREATE TABLE IF NOT EXISTS deliveries (
    id       FixedString(16),
    time     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    sink     LowCardinality(String),
    kind     LowCardinality(String),
    result   LowCardinality(String),
    alert    String CODEC(ZSTD(1)),
    records  UInt32,
    attempt  UInt32,
    duration UInt64 CODEC(T64, ZSTD(1)),
    error    String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (sink, time, id)
SETTINGS ttl_only_drop_parts = 1;

-- Warder's own figures, as /metrics shows them, every few seconds.
CREATE TABLE IF NOT EXISTS metrics (
    time     DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    instance LowCardinality(String),
    name     LowCardinality(String),
    labels   Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    kind     LowCardinality(String),
    value    Float64 CODEC(Gorilla, ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (name, labels, instance, time)
SETTINGS ttl_only_drop_parts = 1;

-- What learned models expected and saw, one row an entity, model and window.
CREATE TABLE IF NOT EXISTS baselines (
    time     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    model    LowCardinality(String),
    kind     LowCardinality(String),
    entity   String CODEC(ZSTD(1)),
    route    LowCardinality(String),
    value    Float64,
    expected Float64,
    low      Float64,
    high     Float64,
    score    Float64
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (model, kind, entity, route, time)
SETTINGS ttl_only_drop_parts = 1;
