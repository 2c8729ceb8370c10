-- A small history for the tests: {rows} requests in the {seconds} seconds before {end}. Statements end with a semicolon at the end of a line.
-- Requests are made {count} at a time, from number {first} on.
INSERT INTO events (time, tap, seq, request_text, method, scheme, host, path, user_agent, request_size, duration, code, response_size, content_type,
    source_address, country, asn, principal_id, principal_type, tenant, auth_outcome, route, api_version, api_name, tls_version, model, prompt_tokens,
    completion_tokens, enforced_by, enforced_action, waf_score, intel_lists)
SELECT fromUnixTimestamp64Nano(toInt64({end} * 1e9 - {seconds} * 1e9 * ({rows} - number) / {rows}), 'UTC') AS time,
    'edge-1' AS tap, number AS seq, toString(number) AS request_text,
    ['GET', 'GET', ['POST', 'PUT', 'DELETE', 'PATCH'][1 + resource % 4]][1 + r2 % 3] AS method, 'https' AS scheme, 'api.example.com' AS host,
    route AS path, ['Mozilla/5.0', 'curl/8.5', 'python-requests/2.32', 'sqlmap/1.8'][1 + r3 % 4] AS user_agent, 100 + r1 % 900 AS request_size,
    toInt64(1e6 * (1 + r2 % 200)) AS duration, if(attacker, [401, 403, 404, 429][1 + r3 % 4], if(r3 % 20 > 0, 200, [201, 204, 302, 400, 404, 500][1 + intDiv(r3, 20) % 6])) AS code,
    200 + r1 % 20000 AS response_size, 'application/json' AS content_type, toIPv6(address) AS source_address,
    ['DE', 'US', 'FR', 'BR', 'IN', 'CN', ''][1 + client % 7] AS country, 64496 + client % 40 AS asn,
    if(r2 % 3 = 0, '', concat('user-', toString(client))) AS principal_id, if(principal_id = '', '', 'jwt') AS principal_type,
    if(principal_id = '', '', concat('tenant-', toString(client % 12))) AS tenant,
    multiIf(code IN (401, 403), 'failure', principal_id = '', 'anonymous', 'success') AS auth_outcome,
    ['/login', '/users/{id}', '/orders', '/orders/{id}', '/search', '/admin/export', '/v1/chat', '/health', if(number > {rows} * 0.9, '/beta', '/old/report')][1 + resource % 9] || ['', '/items', '/items/{id}', '/state', '/audit'][1 + intDiv(resource, 9)] AS route,
    if(startsWith(route, '/old'), 'v1', 'v2') AS api_version, ['shop', 'accounts', 'assistant'][1 + resource % 5 % 3] AS api_name, 'TLSv1.3' AS tls_version,
    if(startsWith(route, '/v1/chat'), ['large', 'small'][1 + r2 % 2], '') AS model, if(model = '', 0, 50 + r3 % 4000) AS prompt_tokens,
    if(model = '', 0, 20 + r2 % 900) AS completion_tokens, if(attacker AND r2 % 2 = 0, 'decision-1', '') AS enforced_by,
    if(enforced_by = '', '', ['block', 'block', 'limit', 'challenge'][1 + r1 % 4]) AS enforced_action, if(attacker, r1 % 40, 0) AS waf_score,
    if(attacker AND r3 % 5 = 0, ['scanners'], []) AS intel_lists
FROM (
    SELECT number, intHash32(number) AS r1, intHash32(number + 1000000007) AS r2, intHash32(number + 2000000011) AS r3, r1 % 25 = 0 AS attacker, toUInt32(pow(r3 / 4294967296, 2) * 45) AS resource,
        if(attacker, r2 % 4, toUInt32(pow(r2 / 4294967296, 3) * {clients})) AS client,
        if(attacker, concat('203.0.113.', toString(7 + client)), IPv4NumToString(toUInt32(167772160 + client))) AS address
    FROM numbers({first}, {count})
);

-- The rollups of those requests.
INSERT INTO rollup_feed (kafka_partition, time, api_name, route, method, code, auth_outcome, enforced_action, request_size, response_size, duration,
    source_address, country, asn, principal_id, tenant, host, api_version, content_type, model, prompt_tokens, completion_tokens,
    waf_score, intel_lists)
SELECT kafka_partition, time, api_name, route, method, code, auth_outcome, enforced_action, request_size, response_size, duration,
    source_address, country, asn, principal_id, tenant, host, api_version, content_type, model, prompt_tokens, completion_tokens,
    waf_score, intel_lists
FROM events WHERE seq >= {first} AND seq < {first} + {count};

INSERT INTO alerts (id, time, rule, rule_version, title, severity, rank, mode, tags, window_start, window_end, entity, measured, events, event_count, dropped, record)
SELECT lower(hex(MD5(toString(number)))) AS id, fromUnixTimestamp64Nano(toInt64({end} * 1e9 - {seconds} * 1e9 * (300 - number) / 300), 'UTC') AS time,
    ['credential-stuffing', 'object-enumeration', 'sql-injection', 'path-probing', 'token-flood', 'odd-route'][1 + number % 6] AS rule, 'v1' AS rule_version,
    ['Credential stuffing', 'Objects tried one after another', 'SQL injection', 'Paths probed', 'Too many tokens', 'A route that is new'][1 + number % 6] AS title,
    ['info', 'low', 'medium', 'high', 'critical'][rank + 1] AS severity, intHash32(number) % 5 AS rank,
    ['enforce', 'canary', 'shadow'][1 + number % 3] AS mode, [[ 'owasp.api2', 'attack.t1110.004'], ['owasp.api1'], ['owasp.api8'], ['owasp.api9'], ['owasp.api4'], ['owasp.api9', 'owasp.api5']][1 + number % 6] AS tags,
    time - 60 AS window_start, time AS window_end, map('source.address', concat('203.0.113.', toString(7 + number % 4)), 'principal.id', concat('user-', toString(number % 4))) AS entity,
    map('count', 20. + number % 80) AS measured, [] AS events, 20 + number % 80 AS event_count, 0 AS dropped,
    toJSONString(map('title', title)) AS record
FROM numbers(300);

INSERT INTO triage (alert, time, state, verdict, by, note)
SELECT id, toDateTime64(time, 3, 'UTC') + 120 + cityHash64(id) % 5000 AS time, ['acknowledged', 'closed', 'closed', 'open'][1 + cityHash64(id) % 4] AS state,
    if(state = 'closed', ['true_positive', 'false_positive', 'benign'][1 + cityHash64(id, 1) % 3], '') AS verdict, ['ada', 'grace'][1 + cityHash64(id) % 2] AS by, '' AS note
FROM alerts WHERE cityHash64(id) % 3 > 0;

INSERT INTO decisions (id, change, content, updated, action, scope, value, mode, state, creator, alert, rule, created, expires, note, record)
SELECT lower(hex(MD5(concat('d', toString(number))))) AS id, MD5(concat(id, state)) AS change, MD5(concat(id, state)) AS content,
    if(last, least(expires, toDateTime64({end}, 9, 'UTC')), created) AS updated, ['block', 'block', 'limit', 'challenge', 'log'][1 + number % 5] AS action,
    if(number % 2 = 0, 'source.address', 'principal.id') AS scope, if(number % 2 = 0, concat('203.0.113.', toString(7 + number % 4)), concat('user-', toString(number % 4))) AS value,
    if(number % 7 = 0, 'observe', 'enforce') AS mode, multiIf(NOT last AND number % 6 = 0, 'proposed', NOT last, 'active', number % 6 = 0, 'revoked', 'expired') AS state,
    if(number % 6 = 5, 'person:ada', concat('rule:', rule)) AS creator, lower(hex(MD5(toString(number)))) AS alert,
    ['credential-stuffing', 'object-enumeration', 'sql-injection', 'path-probing', 'token-flood', 'odd-route'][1 + number % 6] AS rule,
    fromUnixTimestamp64Nano(toInt64({end} * 1e9 - {seconds} * 1e9 * (300 - number) / 300), 'UTC') AS created, created + 1800 * (1 + number % 9) AS expires,
    '' AS note, concat('{"id":"', id, '","offence":', toString(1 + number % 3), ',"share":0.001,',
        if(number % 6 = 0, concat('"guardrail":"', ['max_share', 'never_block', 'approval'][1 + number % 3], '",'), ''),
        '"reason":{"rule":"', rule, '","event_time":"', formatDateTime(created - toIntervalMillisecond(4 + number % 20), '%Y-%m-%dT%H:%i:%S.%fZ', 'UTC'), '"}}') AS record
FROM numbers(300) ARRAY JOIN [false, true] AS last
WHERE NOT last OR expires <= toDateTime64({end}, 9, 'UTC') OR number % 6 = 0;

INSERT INTO ledger (chain, seq, id, position, time, prev, hash, key, kind, decision, entity, action, mode, creator, approver, rule, alert, gateway, expires, line)
SELECT 'decisions' AS chain, 2 + rowNumberInAllBlocks() AS seq, change AS id, toInt64(seq) AS position, updated AS time, '' AS prev, hex(change) AS hash, 'k1' AS key,
    concat('decision.', state) AS kind, d.id AS decision, concat(scope, '=', value) AS entity, action, mode, creator, if(state = 'revoked', 'person:grace', '') AS approver, rule, alert,
    '' AS gateway, expires, '{"hash":"","sig":"","entry":{}}' AS line
FROM (SELECT * FROM decisions ORDER BY updated) AS d;

INSERT INTO ledger (chain, seq, id, position, time, prev, hash, key, kind, decision, entity, action, mode, creator, approver, rule, alert, gateway, expires, line)
SELECT 'acks' AS chain, 2 + number AS seq, MD5(concat('a', toString(number))) AS id, number AS position,
    fromUnixTimestamp64Milli(toInt64({end} * 1e3 - {seconds} * 1e3 * (600 - number) / 600), 'UTC') AS time, '' AS prev, '' AS hash, 'k1' AS key,
    if(number % 97 = 3, 'gateway.left', 'gateway.ack') AS kind, '' AS decision, '' AS entity, '' AS action, '' AS mode, '' AS creator, '' AS approver, '' AS rule, '' AS alert,
    ['edge-1', 'edge-2/haproxy'][1 + number % 2] AS gateway, toDateTime64(0, 3, 'UTC') AS expires,
    concat('{"hash":"","sig":"","entry":{"gateway":{"v":1,"gateway":"', gateway, '","kind":"', ['inline', 'haproxy'][1 + number % 2], '","offset":', toString(number),
        ',"held":', toString(20 + number % 9), ',"at":"', formatDateTime(time, '%Y-%m-%dT%H:%i:%S.%fZ', 'UTC'), '"',
        if(number % 50 = 0, ',"error":"connection refused"', ''), ',"repaired":', toString(intDiv(number, 40)), '}}}') AS line
FROM numbers(600);

INSERT INTO metrics (time, instance, name, labels, kind, value)
SELECT fromUnixTimestamp64Milli(toInt64({end} * 1e3 - {seconds} * 1e3 * (1000 - number) / 1000), 'UTC') AS time, 'enforcer' AS instance, s.1 AS name, s.2 AS labels, s.3 AS kind,
    if(kind = 'gauge', s.4, s.4 * number) AS value
FROM numbers(1001)
ARRAY JOIN [('warder_proof_gateways', map('state', 'in line'), 'gauge', 2.), ('warder_proof_gateways', map('state', 'behind'), 'gauge', 0.),
    ('warder_proof_gateways', map('state', 'silent'), 'gauge', 1.), ('warder_proof_leaks_total', map(), 'counter', 1.),
    ('warder_enforcer_share_in_use_ratio', map(), 'gauge', 0.004)] AS s;
