-- What the boards of baselines, models, health, rules and compliance need beside fill.sql, in the same time. Statements end with a semicolon.
INSERT INTO traffic_hour
SELECT t.time - toIntervalWeek(w), api_name, route, method, code, auth_outcome, action, requests, request_bytes, response_bytes, duration, slowest, clients
FROM traffic_hour AS t ARRAY JOIN [1, 2, 3] AS w;

INSERT INTO entity_hour
SELECT e.time - toIntervalWeek(w), kind, value, requests, denied, not_found, limited, errors, refused, writes, flagged, response_bytes, tokens, first_seen, last_seen,
    routes, addresses, principals, country
FROM entity_hour AS e ARRAY JOIN [1, 2] AS w;

INSERT INTO baselines (time, model, kind, entity, route, value, expected, low, high, score)
SELECT toDateTime({end}, 'UTC') - 300 * number, ['volume', 'spread'][1 + number % 2], 'principal', concat('user-', toString(number % 20)), '', 10 + intHash32(number) % 12, 12, 9, 18,
    intHash32(number) % 9
FROM numbers(2000);

INSERT INTO alerts (id, time, rule, title, severity, rank, mode, tags, window_start, window_end, entity, event_count)
SELECT lower(hex(MD5(concat('m', toString(number))))) AS id, toDateTime64({end}, 9, 'UTC') - 3600 * number AS time, ['prompt-injection', 'warder.rule-suspended', 'gone-silent'][k] AS rule, rule AS title,
    ['high', 'medium', 'low'][k] AS severity, [3, 2, 1][k] AS rank, ['enforce', 'shadow', 'canary'][k] AS mode, [['owasp.llm01'], [], ['owasp.api4']][k] AS tags, time AS window_start,
    time AS window_end, if(k = 2, map('rule', 'odd-route'), map('principal.id', concat('user-', toString(number % 9)))) AS entity, 1 AS event_count
FROM (SELECT number + if(number % 3 = 2, 24 * 20, 0) AS number, 1 + number % 3 AS k FROM numbers(60));

INSERT INTO deliveries (id, time, sink, kind, result, alert, records, attempt, duration, error)
SELECT MD5(toString(number)), toDateTime64({end}, 3, 'UTC') - 60 * number, ['team', 'pager', 'siem'][1 + number % 3], 'webhook', ['delivered', 'delivered', 'delivered', 'retry', 'failed'][1 + number % 5], '', 1, 1,
    30000000 + number, if(number % 5 > 2, 'connection refused', '')
FROM numbers(900);

INSERT INTO audit (id, time, actor, action, subject, detail)
SELECT MD5(toString(number)), toDateTime64({end}, 3, 'UTC') - 1800 * number, ['ada', 'grace'][1 + number % 2], ['events.search', 'entity.show', 'privacy.erase'][1 + number % 3], 'user-1', '{}'
FROM numbers(300);

INSERT INTO ledger (chain, seq, id, position, time, prev, hash, key, kind, decision, entity, action, mode, creator, approver, rule, alert, gateway, expires, line)
SELECT 'decisions', 100000 + number, MD5(concat('p', toString(number))), 100000 + number, toDateTime64({end}, 3, 'UTC') - 7200 * number, '', '', 'k1',
    ['switch', 'decision.approved', 'decision.active', 'decision.revoked'][1 + number % 4], '', if(number % 4 = 0, '', 'source.address=203.0.113.7'), if(number % 4 = 0, '', 'block'),
    ['enforce', 'observe'][1 + number % 2], 'person:ada', 'person:grace', '', '', '', toDateTime64(0, 3, 'UTC'), '{"hash":"","sig":"","entry":{"note":"asked for"}}'
FROM numbers(80);

-- Two processes, one of which is restarted half-way: its counters begin again.
INSERT INTO metrics (time, instance, name, labels, kind, value)
SELECT fromUnixTimestamp64Milli(({end} - 60 * number) * 1000, 'UTC'), concat('warder-', toString(i)), s.1, s.2, s.3, if(s.3 = 'counter', s.4 * ((2880 - number) % if(i = 1, 1440, 10000)), s.4)
FROM numbers(2880) ARRAY JOIN [1, 2] AS i
ARRAY JOIN arrayConcat([('warder_collector_events_total', map(), 'counter', 6000.), ('warder_collector_shipped_total', map(), 'counter', 6000.),
    ('warder_collector_heartbeats_total', map('result', 'sent'), 'counter', 60.), ('warder_detector_records_in_total', map('topic', 'warder.events'), 'counter', 6060.),
    ('warder_store_inserted_total', map('table', 'events'), 'counter', 6000.), ('warder_store_insert_seconds_sum', map('table', 'events'), 'counter', 4.),
    ('warder_store_insert_seconds_count', map('table', 'events'), 'counter', 60.), ('warder_collector_spool_dropped_total', map('reason', 'full'), 'counter', 1.),
    ('warder_bus_dead_letters_total', map('stage', 'detector'), 'counter', 1.), ('warder_store_insert_failures_total', map('table', 'events'), 'counter', 1.),
    ('warder_detector_rule_errors_total', map('rule', 'odd-route'), 'counter', 2.), ('process_cpu_seconds_total', map(), 'counter', 12.),
    ('warder_rules_loads_total', map('result', 'refused'), 'counter', 0.), ('warder_bus_lag_records', map('group', 'warder.detector', 'topic', 'warder.events', 'partition', '0'), 'gauge', 40.),
    ('warder_rules', map(), 'gauge', 80.), ('go_goroutines', map(), 'gauge', 90.), ('process_resident_memory_bytes', map(), 'gauge', 2e8), ('go_memstats_heap_inuse_bytes', map(), 'gauge', 1e8),
    ('process_open_fds', map(), 'gauge', 40.), ('process_start_time_seconds', map(), 'gauge', {end} - 86400.)],
    arrayMap(b -> (b.1, map('le', b.2, 'table', 'events'), 'counter', b.3), arrayFlatten(arrayMap(n -> [(n, '0.01', 10.), (n, '0.1', 50.), (n, '1', 60.), (n, '+Inf', 60.)],
        ['warder_enforcer_decision_latency_seconds_bucket', 'warder_proof_ack_seconds_bucket', 'warder_detector_alert_latency_seconds_bucket', 'warder_store_insert_seconds_bucket'])))) AS s;
