-- What the native surface says of itself: an OpenAPI 3.1 document made from the
-- catalog, so that a function, an argument or a column is described where it is
-- made and nowhere else. PostgREST 12 writes OpenAPI 2.0, without what functions
-- return; db-root-spec puts this in its place.

CREATE FUNCTION referral.openapi_schema(type oid, nullable boolean)
    RETURNS json LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
               WHEN t.typtype = 'c' AND $2 THEN
                   json_build_object('anyOf', json_build_array(
                       json_build_object('$ref', '#/components/schemas/' || t.typname),
                       json_build_object('type', 'null')))
               WHEN t.typtype = 'c' THEN
                   json_build_object('$ref', '#/components/schemas/' || t.typname)
               WHEN t.typname IN ('json', 'jsonb') THEN '{}'
               ELSE json_strip_nulls(json_build_object(
                   'type', CASE WHEN $2 THEN json_build_array(k.kind, 'null')
                                ELSE to_json(k.kind) END,
                   'format', k.format,
                   'items', CASE WHEN k.kind = 'array'
                                 THEN referral.openapi_schema(t.typelem, false) END))
           END
      FROM pg_type t,
           LATERAL (SELECT CASE WHEN t.typcategory = 'A' THEN 'array'
                                WHEN t.typname IN ('int2', 'int4', 'int8') THEN 'integer'
                                WHEN t.typcategory = 'N' THEN 'number'
                                WHEN t.typcategory = 'B' THEN 'boolean'
                                ELSE 'string' END,
                           CASE t.typname WHEN 'int4' THEN 'int32' WHEN 'int8' THEN 'int64'
                                          WHEN 'date' THEN 'date'
                                          WHEN 'timestamptz' THEN 'date-time' END
                   ) k(kind, format)
     WHERE t.oid = $1
$$;
COMMENT ON FUNCTION referral.openapi_schema(oid, boolean) IS
'The JSON Schema of a type as PostgREST writes its values.
nullable: whether null is among them.';

CREATE FUNCTION referral.openapi_result(function oid)
    RETURNS json LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
               WHEN p.proretset THEN json_build_object('type', 'array', 'items', r.schema)
               -- PostgREST makes an object of nulls of a row that is null.
               WHEN t.typtype = 'c'
                    AND obj_description(p.oid, 'pg_proc') ~ 'null for an unknown' THEN
                   json_build_object('anyOf', json_build_array(r.schema, json_build_object(
                       'type', 'object',
                       'additionalProperties', json_build_object('type', 'null'))))
               ELSE r.schema
           END
      FROM pg_proc p
      JOIN pg_type t ON t.oid = p.prorettype,
           LATERAL referral.openapi_schema(t.oid, false) r(schema)
     WHERE p.oid = $1
$$;
COMMENT ON FUNCTION referral.openapi_result(oid) IS
'The JSON Schema of what a function answers.';

CREATE FUNCTION referral.openapi_arguments(
        function oid, OUT name text, OUT type oid, OUT n integer, OUT required boolean,
        OUT "default" json)
    RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.proargnames[a.n], a.type, a.n, a.n <= p.pronargs - p.pronargdefaults,
           CASE WHEN d.expression ~ '^-?\d+$' THEN to_json(d.expression::bigint)
                WHEN d.expression ~ '^''[^'']*''::' THEN to_json(split_part(d.expression, '''', 2))
           END
      FROM pg_proc p,
           unnest(p.proargtypes::oid[]) WITH ORDINALITY u(type, place),
           LATERAL (SELECT u.type, u.place::integer) a(type, n),
           LATERAL (SELECT pg_get_function_arg_default(p.oid, a.n)) d(expression)
     WHERE p.oid = $1
     ORDER BY a.n
$$;
COMMENT ON FUNCTION referral.openapi_arguments(oid) IS
'The arguments of a function in their order; default is NULL where that is null.';

CREATE FUNCTION referral.openapi_operation(function oid, part text, verb text)
    RETURNS json LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH f AS (
        SELECT p.oid, p.proname,
               split_part(c.comment, E'\n', 1) AS summary,
               substring(c.comment FROM '\n(.*)$') AS description,
               regexp_replace(substring(c.comment FROM 'Errors: (.*?)\.(?:\n|$)'),
                              '\s*\([^)]*\)', '', 'g') AS errors,
               regexp_match(c.comment, '\nExample: (GET|POST) /rpc/\w+\??(.*)$') AS example
          FROM pg_proc p, obj_description(p.oid, 'pg_proc') c(comment)
         WHERE p.oid = $1
    )
    SELECT json_strip_nulls(json_build_object(
        'operationId', $3 || '_' || f.proname,
        'summary', f.summary,
        'description', f.description,
        'tags', json_build_array($2),
        'security', CASE $2 WHEN 'anon' THEN '[{}, {"bearer": []}]'::json
                            ELSE '[{"bearer": []}]' END,
        'x-errors', (SELECT json_agg(e.tag ORDER BY e.n)
                       FROM regexp_split_to_table(f.errors, ',\s*') WITH ORDINALITY e(tag, n)
                      WHERE e.tag ~ '^[a-z_ ]+$'),
        'parameters', CASE WHEN $3 = 'get' THEN (
            SELECT json_agg(json_build_object(
                       'name', a.name, 'in', 'query', 'required', a.required,
                       'description', CASE WHEN t.typcategory = 'A' THEN 'A list: {a,b}'
                                           ELSE replace(a.name, '_', ' ') END,
                       'schema', CASE WHEN t.typcategory = 'A'
                                      THEN '{"type": "string", "pattern": "^\\{.*\\}$"}'
                                      ELSE referral.openapi_schema(a.type, false) END,
                       'example', CASE WHEN t.typcategory = 'N' THEN to_json(x.value::bigint)
                                       ELSE to_json(x.value) END) ORDER BY a.n)
              FROM referral.openapi_arguments(f.oid) a
              JOIN pg_type t ON t.oid = a.type,
                   LATERAL (SELECT CASE WHEN f.example[1] = 'GET' THEN substring(
                                '&' || f.example[2] FROM '&' || a.name || '=([^&]*)') END) x(value)
            ) END,
        'requestBody', CASE WHEN $3 = 'post' THEN json_build_object(
            'required', EXISTS (SELECT FROM referral.openapi_arguments(f.oid) a WHERE a.required),
            'content', json_build_object('application/json', json_build_object(
                'schema', json_build_object(
                    'type', 'object',
                    'properties', coalesce(
                        (SELECT json_object_agg(
                                    a.name,
                                    to_jsonb(s.schema)
                                    || jsonb_strip_nulls(jsonb_build_object('default', a."default"))
                                    -- Text too, for the numbers of JavaScript end at 2^53.
                                    || CASE WHEN a.type = 'int8'::regtype
                                            THEN '{"type": ["integer", "string", "null"],
                                                   "pattern": "^-?[0-9]+$"}'::jsonb
                                            ELSE '{}' END ORDER BY a.n)
                           FROM referral.openapi_arguments(f.oid) a,
                                LATERAL referral.openapi_schema(a.type, true) s(schema)), '{}'),
                    'required', coalesce(
                        (SELECT json_agg(a.name ORDER BY a.n)
                           FROM referral.openapi_arguments(f.oid) a WHERE a.required), '[]'),
                    'additionalProperties', false),
                'example', CASE WHEN f.example[1] = 'POST' THEN f.example[2]::json END))
            ) END,
        'responses', json_build_object(
            '200', json_build_object(
                'description', 'What the function returns',
                'content', json_build_object('application/json', json_build_object(
                    'schema', referral.openapi_result(f.oid)))),
            '400', r.refused, '401', r.unauthenticated, '403', r.forbidden,
            '405', CASE WHEN $3 = 'get' THEN r.read_only END,
            '409', r.conflict, 'default', r.other)))
      FROM f,
           (VALUES ('{"$ref": "#/components/responses/refused"}'::json,
                    '{"$ref": "#/components/responses/unauthenticated"}'::json,
                    '{"$ref": "#/components/responses/forbidden"}'::json,
                    '{"$ref": "#/components/responses/read_only"}'::json,
                    '{"$ref": "#/components/responses/conflict"}'::json,
                    '{"$ref": "#/components/responses/other"}'::json)
           ) r(refused, unauthenticated, forbidden, read_only, conflict, other)
$$;
COMMENT ON FUNCTION referral.openapi_operation(oid, text, text) IS
'The Operation Object of a function, out of its comment, its arguments and its result.
part: the least that may call it, of anon, member, operator; verb: get or post.';

CREATE FUNCTION referral.openapi_components()
    RETURNS json LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE used AS (
        SELECT p.prorettype AS type
          FROM referral.api_functions() a JOIN pg_proc p ON p.oid = a.function
        UNION
        SELECT coalesce(nullif(t.typelem, 0), t.oid)
          FROM used u
          JOIN pg_type c ON c.oid = u.type AND c.typtype = 'c'
          JOIN pg_attribute a ON a.attrelid = c.typrelid AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_type t ON t.oid = a.atttypid
    ), described AS (
        SELECT t.typname AS name, json_build_object(
                   'description', obj_description(t.oid, 'pg_type'),
                   'type', 'object',
                   'properties', json_object_agg(
                       a.attname,
                       jsonb_build_object('description', d.words)
                       || to_jsonb(referral.openapi_schema(a.atttypid, d.words ~ '\mNULL\M'))
                       ORDER BY a.attnum),
                   'required', json_agg(a.attname ORDER BY a.attnum),
                   'additionalProperties', false) AS schema
          FROM used u
          JOIN pg_type t ON t.oid = u.type AND t.typtype = 'c'
          JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped,
               LATERAL col_description(t.typrelid, a.attnum) d(words)
         GROUP BY t.oid, t.typname
        UNION ALL
        SELECT 'Error', '{
            "description": "Why a request was refused",
            "type": "object",
            "properties": {
                "code": {"type": "string",
                         "description": "SQLSTATE, or what PostgREST or the proxy calls it"},
                "message": {"type": "string",
                            "description": "A constant to branch on where it is one of x-errors"},
                "details": {"description": "The facts"},
                "hint": {"type": ["string", "null"], "description": "What to do about it"}
            },
            "required": ["code", "message", "details", "hint"],
            "additionalProperties": false}'
    )
    SELECT json_build_object(
        'securitySchemes', '{"bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "role: what he may do; sub: his user_id; program_id: the program"
        }}'::json,
        'responses', (
            SELECT json_object_agg(r.name, json_build_object(
                       'description', r.words,
                       'content', '{"application/json": {"schema":
                           {"$ref": "#/components/schemas/Error"}}}'::json) ORDER BY r.n)
              FROM (VALUES
                  (1, 'refused', 'An argument, or the state of what it names, forbids it'),
                  (2, 'unauthenticated', 'No token where one is needed, or a bad one'),
                  (3, 'forbidden', 'The token does not allow it'),
                  (4, 'read_only', 'A GET that would have to write; see not_a_member_yet'),
                  (5, 'conflict', 'Taken, or a reference to what does not exist'),
                  (6, 'other', 'Anything else that is no answer of the function')
                  ) r(n, name, words)),
        'schemas', (SELECT json_object_agg(d.name, d.schema ORDER BY d.name) FROM described d))
$$;
COMMENT ON FUNCTION referral.openapi_components() IS
'The Components Object: the composite types that the functions return, and the errors.
A column is nullable where its comment says what NULL means.';

CREATE FUNCTION referral_api.openapi()
    RETURNS json LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT json_build_object(
        'openapi', '3.1.0',
        'info', json_build_object(
            'title', split_part(c.words, E'\n', 1),
            'description', substring(c.words FROM '\n(.*)$'),
            'version', (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'referral')),
        'servers', '[{"url": "/"}]'::json,
        'tags', '[{"name": "anon", "description": "For anybody"},
                  {"name": "member",
                   "description": "For members about themselves, for operators about anybody"},
                  {"name": "operator", "description": "For operators"}]'::json,
        'paths', (
            SELECT json_object_agg('/rpc/' || p.proname, json_strip_nulls(json_build_object(
                       'get', CASE WHEN p.provolatile <> 'v'
                                     OR obj_description(p.oid, 'pg_proc') ~ 'not_a_member_yet'
                                   THEN referral.openapi_operation(p.oid, a.part, 'get') END,
                       'post', referral.openapi_operation(p.oid, a.part, 'post')))
                   ORDER BY p.proname)
              -- The parts in the order of the alphabet are those from the least on.
              FROM (SELECT f.function, min(f.part) AS part
                      FROM referral.api_functions() f GROUP BY f.function) a
              JOIN pg_proc p ON p.oid = a.function
             -- What returns json is a document, or a contract that has one of its own.
             WHERE p.prorettype <> 'json'::regtype),
        'components', referral.openapi_components())
      FROM obj_description(to_regnamespace('referral_api'), 'pg_namespace') c(words)
$$;
COMMENT ON FUNCTION referral_api.openapi() IS
'This description: every function that is served, as OpenAPI 3.1
For anybody.
Example: GET /';
