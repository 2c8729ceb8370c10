CREATE DATABASE IF NOT EXISTS `warder` ON CLUSTER `main-1`;

CREATE TABLE IF NOT EXISTS `warder`.`schema_migrations` ON CLUSTER `main-1` (
    version UInt32,
    name    String,
    applied DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/schema_migrations', '{shard}-{replica}') ORDER BY version;

CREATE TABLE IF NOT EXISTS `warder`.`alerts_local` ON CLUSTER `main-1` (
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
    INDEX id_filter id TYPE bloom_filter(0.01) GRANULARITY 1,
    stored DateTime64(3, 'UTC') DEFAULT time
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/alerts_local/{shard}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (rule, time, id)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`alerts` ON CLUSTER `main-1` AS `warder`.`alerts_local` ENGINE = Distributed('main-1', 'warder', 'alerts_local', cityHash64(id));

CREATE TABLE IF NOT EXISTS `warder`.`decisions_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/decisions_local/{shard}', '{replica}')
PARTITION BY toYYYYMM(updated)
ORDER BY (id, updated, change)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`decisions` ON CLUSTER `main-1` AS `warder`.`decisions_local` ENGINE = Distributed('main-1', 'warder', 'decisions_local', cityHash64(id));

CREATE TABLE IF NOT EXISTS `warder`.`audit_local` ON CLUSTER `main-1` (
    id      FixedString(16),
    time    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    actor   LowCardinality(String),
    action  LowCardinality(String),
    subject String CODEC(ZSTD(1)),
    detail  String CODEC(ZSTD(3)),
    INDEX id_filter id TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/audit_local/{shard}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (time, id)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`audit` ON CLUSTER `main-1` AS `warder`.`audit_local` ENGINE = Distributed('main-1', 'warder', 'audit_local', cityHash64(id));

INSERT INTO schema_migrations (version, name) SELECT {version:UInt32}, {name:String};

CREATE TABLE IF NOT EXISTS `warder`.`ledger_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/ledger_local/{shard}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (chain, seq, id)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`ledger` ON CLUSTER `main-1` AS `warder`.`ledger_local` ENGINE = Distributed('main-1', 'warder', 'ledger_local', cityHash64(id));

INSERT INTO schema_migrations (version, name) SELECT {version:UInt32}, {name:String};

CREATE TABLE IF NOT EXISTS `warder`.`events_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/events_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (toStartOfHour(time), source_address, time, tap, seq)
SETTINGS ttl_only_drop_parts = 1, min_level_for_wide_part = 1, auto_statistics_types = '';

CREATE TABLE IF NOT EXISTS `warder`.`events` ON CLUSTER `main-1` AS `warder`.`events_local` ENGINE = Distributed('main-1', 'warder', 'events_local', kafka_partition);

CREATE TABLE IF NOT EXISTS `warder`.`rollup_feed_local` ON CLUSTER `main-1` (
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

CREATE TABLE IF NOT EXISTS `warder`.`rollup_feed` ON CLUSTER `main-1` AS `warder`.`rollup_feed_local` ENGINE = Distributed('main-1', 'warder', 'rollup_feed_local', kafka_partition);

CREATE TABLE IF NOT EXISTS `warder`.`event_blocks_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/event_blocks_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(written)
ORDER BY (kafka_partition, number, done, block)
TTL toDateTime(written) + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`event_blocks` ON CLUSTER `main-1` AS `warder`.`event_blocks_local` ENGINE = Distributed('main-1', 'warder', 'event_blocks_local', kafka_partition);

CREATE TABLE IF NOT EXISTS `warder`.`traffic_minute_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/main-1/warder/traffic_minute_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, api_name, route, method, code, auth_outcome, action)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `warder`.`traffic_minute` ON CLUSTER `main-1` AS `warder`.`traffic_minute_local` ENGINE = Distributed('main-1', 'warder', 'traffic_minute_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`traffic_minute_feed` UUID 'a54b2b76-2323-8702-8c0f-90850b5efe38' ON CLUSTER `main-1` TO `warder`.`traffic_minute_local` AS
SELECT toStartOfMinute(e.time) AS time, api_name, route, method, toUInt16(e.code) AS code, auth_outcome, enforced_action AS action,
    count() AS requests, sum(toUInt64(e.request_size)) AS request_bytes, sum(toUInt64(e.response_size)) AS response_bytes,
    sum(toUInt64(e.duration)) AS duration, max(toUInt64(e.duration)) AS slowest, uniqCombinedState(12)(e.source_address) AS clients
FROM `warder`.`rollup_feed_local` AS e
GROUP BY time, api_name, route, method, code, auth_outcome, action;

CREATE TABLE IF NOT EXISTS `warder`.`traffic_hour_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/main-1/warder/traffic_hour_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, api_name, route, method, code, auth_outcome, action)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `warder`.`traffic_hour` ON CLUSTER `main-1` AS `warder`.`traffic_hour_local` ENGINE = Distributed('main-1', 'warder', 'traffic_hour_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`traffic_hour_feed` UUID '4881cfd0-e038-b280-f056-c92fc077cdbd' ON CLUSTER `main-1` TO `warder`.`traffic_hour_local` AS
SELECT toStartOfHour(m.time) AS time, api_name, route, method, code, auth_outcome, action,
    sum(m.requests) AS requests, sum(m.request_bytes) AS request_bytes, sum(m.response_bytes) AS response_bytes,
    sum(m.duration) AS duration, max(m.slowest) AS slowest, uniqCombinedMergeState(12)(m.clients) AS clients
FROM `warder`.`traffic_minute_local` AS m
GROUP BY time, api_name, route, method, code, auth_outcome, action;

CREATE TABLE IF NOT EXISTS `warder`.`origin_minute_local` ON CLUSTER `main-1` (
    time      DateTime('UTC'),
    country   LowCardinality(String),
    asn       UInt32,
    requests  SimpleAggregateFunction(sum, UInt64),
    denied    SimpleAggregateFunction(sum, UInt64),
    errors    SimpleAggregateFunction(sum, UInt64),
    refused   SimpleAggregateFunction(sum, UInt64),
    clients   AggregateFunction(uniqCombined(12), IPv6)
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/main-1/warder/origin_minute_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, country, asn)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `warder`.`origin_minute` ON CLUSTER `main-1` AS `warder`.`origin_minute_local` ENGINE = Distributed('main-1', 'warder', 'origin_minute_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`origin_minute_feed` UUID '50504371-11c0-5999-58e4-93764e324a1d' ON CLUSTER `main-1` TO `warder`.`origin_minute_local` AS
SELECT toStartOfMinute(e.time) AS time, country, asn, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code >= 500) AS errors,
    countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused, uniqCombinedState(12)(source_address) AS clients
FROM `warder`.`rollup_feed_local` AS e
GROUP BY time, country, asn;

CREATE TABLE IF NOT EXISTS `warder`.`entity_hour_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/main-1/warder/entity_hour_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (kind, value, time)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `warder`.`entity_hour` ON CLUSTER `main-1` AS `warder`.`entity_hour_local` ENGINE = Distributed('main-1', 'warder', 'entity_hour_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`entity_hour_address` UUID 'efea10e1-11c3-2e56-6fd5-883740b9ac22' ON CLUSTER `main-1` TO `warder`.`entity_hour_local` AS
SELECT toStartOfHour(e.time) AS time, 'address' AS kind, if(e.source_address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), substring(toString(e.source_address), 8), toString(e.source_address)) AS value, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code = 404) AS not_found, countIf(code = 429) AS limited,
    countIf(code >= 500) AS errors, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(method NOT IN ('GET', 'HEAD', 'OPTIONS')) AS writes, countIf(waf_score > 0 OR notEmpty(intel_lists)) AS flagged,
    sum(toUInt64(e.response_size)) AS response_bytes, sum(toUInt64(prompt_tokens + completion_tokens)) AS tokens,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen,
    uniqCombinedState(12)(toString(route)) AS routes, uniqCombinedState(12)(e.source_address) AS addresses,
    uniqCombinedStateIf(12)(e.principal_id, e.principal_id != '') AS principals, max(e.country) AS country
FROM `warder`.`rollup_feed_local` AS e
GROUP BY time, e.source_address;

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`entity_hour_principal` UUID 'cc98a06c-704a-f3a8-8ab7-a2a694ab2490' ON CLUSTER `main-1` TO `warder`.`entity_hour_local` AS
SELECT toStartOfHour(e.time) AS time, 'principal' AS kind, e.principal_id AS value, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code = 404) AS not_found, countIf(code = 429) AS limited,
    countIf(code >= 500) AS errors, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(method NOT IN ('GET', 'HEAD', 'OPTIONS')) AS writes, countIf(waf_score > 0 OR notEmpty(intel_lists)) AS flagged,
    sum(toUInt64(e.response_size)) AS response_bytes, sum(toUInt64(prompt_tokens + completion_tokens)) AS tokens,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen,
    uniqCombinedState(12)(toString(route)) AS routes, uniqCombinedState(12)(e.source_address) AS addresses,
    uniqCombinedStateIf(12)(e.principal_id, e.principal_id != '') AS principals, max(e.country) AS country
FROM `warder`.`rollup_feed_local` AS e
WHERE e.principal_id != ''
GROUP BY time, e.principal_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`entity_hour_tenant` UUID '80bf1306-07e9-bad2-90a3-c4a0304897ea' ON CLUSTER `main-1` TO `warder`.`entity_hour_local` AS
SELECT toStartOfHour(e.time) AS time, 'tenant' AS kind, toString(e.tenant) AS value, count() AS requests,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(code = 404) AS not_found, countIf(code = 429) AS limited,
    countIf(code >= 500) AS errors, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(method NOT IN ('GET', 'HEAD', 'OPTIONS')) AS writes, countIf(waf_score > 0 OR notEmpty(intel_lists)) AS flagged,
    sum(toUInt64(e.response_size)) AS response_bytes, sum(toUInt64(prompt_tokens + completion_tokens)) AS tokens,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen,
    uniqCombinedState(12)(toString(route)) AS routes, uniqCombinedState(12)(e.source_address) AS addresses,
    uniqCombinedStateIf(12)(e.principal_id, e.principal_id != '') AS principals, max(e.country) AS country
FROM `warder`.`rollup_feed_local` AS e
WHERE e.tenant != ''
GROUP BY time, e.tenant;

CREATE TABLE IF NOT EXISTS `warder`.`endpoints_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/main-1/warder/endpoints_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(day)
ORDER BY (api_name, host, route, method, api_version, day)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `warder`.`endpoints` ON CLUSTER `main-1` AS `warder`.`endpoints_local` ENGINE = Distributed('main-1', 'warder', 'endpoints_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`endpoints_feed` UUID '50c09696-2506-8a41-011e-6c26352c97fa' ON CLUSTER `main-1` TO `warder`.`endpoints_local` AS
SELECT toDate(e.time) AS day, api_name, host, method, route, api_version,
    toDateTime(min(e.time), 'UTC') AS first_seen, toDateTime(max(e.time), 'UTC') AS last_seen, count() AS requests,
    countIf(auth_outcome = 'success') AS authenticated, countIf(auth_outcome IN ('', 'anonymous')) AS anonymous,
    countIf(auth_outcome = 'failure') AS failed, countIf(code >= 400 AND code < 500) AS client_errors, countIf(code >= 500) AS server_errors,
    countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused, sum(toUInt64(response_size)) AS response_bytes,
    max(toUInt64(response_size)) AS largest, uniqCombinedState(12)(source_address) AS clients,
    uniqCombinedStateIf(12)(principal_id, principal_id != '') AS principals, groupUniqArrayIf(8)(toString(content_type), content_type != '') AS content_types
FROM `warder`.`rollup_feed_local` AS e
GROUP BY day, api_name, host, method, route, api_version;

CREATE TABLE IF NOT EXISTS `warder`.`llm_minute_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/main-1/warder/llm_minute_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, model, tenant, principal_id, route)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `warder`.`llm_minute` ON CLUSTER `main-1` AS `warder`.`llm_minute_local` ENGINE = Distributed('main-1', 'warder', 'llm_minute_local');

CREATE MATERIALIZED VIEW IF NOT EXISTS `warder`.`llm_minute_feed` UUID '0ac607c2-a19e-ba14-3617-4669c8b4e9cc' ON CLUSTER `main-1` TO `warder`.`llm_minute_local` AS
SELECT toStartOfMinute(e.time) AS time, model, tenant, principal_id, route, count() AS requests,
    sum(toUInt64(e.prompt_tokens)) AS prompt_tokens, sum(toUInt64(e.completion_tokens)) AS completion_tokens,
    countIf(code IN (401, 403) OR auth_outcome = 'failure') AS denied, countIf(enforced_action IN ('block', 'limit', 'challenge')) AS refused,
    countIf(code >= 500) AS errors, max(toUInt64(e.prompt_tokens)) AS largest_prompt
FROM `warder`.`rollup_feed_local` AS e
WHERE model != ''
GROUP BY time, model, tenant, principal_id, route;

CREATE TABLE IF NOT EXISTS `warder`.`triage_local` ON CLUSTER `main-1` (
    alert   String CODEC(ZSTD(1)),
    time    DateTime64(3, 'UTC'),
    state   LowCardinality(String),
    verdict LowCardinality(String),
    by      LowCardinality(String),
    note    String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/triage_local/{shard}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (alert, time)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`triage` ON CLUSTER `main-1` AS `warder`.`triage_local` ENGINE = Distributed('main-1', 'warder', 'triage_local', cityHash64(alert));

CREATE TABLE IF NOT EXISTS `warder`.`deliveries_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/deliveries_local/{shard}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (sink, time, id)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`deliveries` ON CLUSTER `main-1` AS `warder`.`deliveries_local` ENGINE = Distributed('main-1', 'warder', 'deliveries_local', cityHash64(id));

CREATE TABLE IF NOT EXISTS `warder`.`metrics_local` ON CLUSTER `main-1` (
    time     DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    instance LowCardinality(String),
    name     LowCardinality(String),
    labels   Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    kind     LowCardinality(String),
    value    Float64 CODEC(Gorilla, ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/metrics_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (name, labels, instance, time)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`metrics` ON CLUSTER `main-1` AS `warder`.`metrics_local` ENGINE = Distributed('main-1', 'warder', 'metrics_local', cityHash64(name, instance));

CREATE TABLE IF NOT EXISTS `warder`.`baselines_local` ON CLUSTER `main-1` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/main-1/warder/baselines_local/{shard}', '{replica}')
PARTITION BY toYYYYMMDD(time)
ORDER BY (model, kind, entity, route, time)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `warder`.`baselines` ON CLUSTER `main-1` AS `warder`.`baselines_local` ENGINE = Distributed('main-1', 'warder', 'baselines_local', cityHash64(model, kind, entity));

INSERT INTO schema_migrations (version, name) SELECT {version:UInt32}, {name:String};

ALTER TABLE `warder`.`events_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(2592000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`traffic_minute_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(7776000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`origin_minute_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(7776000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`llm_minute_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(7776000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`traffic_hour_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`entity_hour_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`endpoints_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(day) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`alerts_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`triage_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`decisions_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(updated) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`audit_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`ledger_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(34560000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`deliveries_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(7776000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`metrics_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(2592000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`baselines_local` ON CLUSTER `main-1` MODIFY TTL toDateTime(time) + toIntervalSecond(7776000) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE `warder`.`events_local` ON CLUSTER `main-1` DELETE WHERE principal_id IN {values:Array(String)};

ALTER TABLE `warder`.`entity_hour_local` ON CLUSTER `main-1` DELETE WHERE kind = {kind:String} AND value IN {values:Array(String)};

ALTER TABLE `warder`.`baselines_local` ON CLUSTER `main-1` DELETE WHERE kind = {kind:String} AND entity IN {values:Array(String)};

ALTER TABLE `warder`.`triage_local` ON CLUSTER `main-1` DELETE WHERE alert IN {alerts:Array(String)};

ALTER TABLE `warder`.`alerts_local` ON CLUSTER `main-1` DELETE WHERE hasAny(mapValues(entity), {values:Array(String)}) OR has({values:Array(String)}, JSONExtractString(record, 'sample', 'principal')) OR has({values:Array(String)}, JSONExtractString(record, 'sample', 'address'));

ALTER TABLE `warder`.`decisions_local` ON CLUSTER `main-1` DELETE WHERE has({values:Array(String)}, value) OR arrayExists(x -> has({values:Array(String)}, JSONExtractString(x, 'value')), JSONExtractArrayRaw(record, 'and'));

ALTER TABLE `warder`.`audit_local` ON CLUSTER `main-1` UPDATE subject = 'erased' WHERE subject IN {values:Array(String)};

ALTER TABLE `warder`.`ledger_local` ON CLUSTER `main-1` DELETE WHERE arrayExists(t -> has({values:Array(String)}, substring(t, position(t, '=') + 1)), splitByString(' and ', entity));

ALTER TABLE `warder`.`llm_minute_local` ON CLUSTER `main-1` DELETE WHERE principal_id IN {values:Array(String)};
