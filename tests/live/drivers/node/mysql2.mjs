// Node's mysql2: runs the list of checks and its own, and prints a line each, as script.py says.
//   node mysql2.mjs HOST PORT USER PASSWORD DATABASE      PYTHON names the interpreter that prints the list
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import mysql from 'mysql2/promise';

const [host, port, user, password, database] = process.argv.slice(2);
const at = user.slice(user.indexOf('@') + 1);
const names = { db: database, user2: `second@${at}`, nobody: `nobody@${at}` };
const list = JSON.parse(execFileSync(process.env.PYTHON, ['-m', 'tests.live.drivers.checks'], { maxBuffer: 1 << 27 }));
const VERBS = new Set(['query', 'execute', 'many', 'multi', 'stream', 'reuse', 'interleave', 'open', 'close', 'parallel',
  'autocommit', 'commit', 'rollback', 'ping', 'reset', 'change_user', 'load', 'thread_id_is_connection_id']);

// Set in the first OK of each server session, which tells of variables; a proxy was told them earlier.
const FIRST_OK = 0x4000;

// ---- canonical forms ----------------------------------------------------------------

const digest = (data) => `${data.length}:${createHash('sha256').update(data).digest('hex').slice(0, 16)}`;

function value(item) {
  if (item === null || item === undefined) return null;
  if (typeof item === 'number') return [Number.isInteger(item) ? 'int' : 'float', String(item)];
  if (typeof item === 'bigint') return ['bigint', String(item)];
  if (typeof item === 'string') return ['str', item.length <= 400 ? item : digest(Buffer.from(item))];
  if (Buffer.isBuffer(item)) return ['bytes', item.length <= 400 ? item.toString('hex') : digest(item)];
  if (item instanceof Date) return ['date', item.toISOString()];
  return ['json', JSON.stringify(item)];
}

function rows(found) {
  const all = found.map((row) => (Array.isArray(row) ? row : Object.entries(row).flat()).map(value));
  return all.length <= 40 ? all : { rows: all.length, sha256: digest(Buffer.from(JSON.stringify(all))) };
}

function results([found, fields]) {
  const many = Array.isArray(fields) && fields.some((field) => field === undefined || field === null || Array.isArray(field));
  return many ? found.map((one, n) => result(one, fields[n])) : [result(found, fields)];
}

function result(found, fields) {
  if (!Array.isArray(found)) {
    return { columns: [], rows: null, affected: found.affectedRows, insert_id: found.insertId, changed: found.changedRows,
      info: found.info, status: found.serverStatus & ~FIRST_OK, warnings: found.warningStatus };
  }
  const columns = fields.map((f) => [f.schema, f.table, f.orgTable, f.name, f.orgName, f.characterSet, f.columnLength,
    f.columnType, f.flags, f.decimals].map(String));
  return { columns, rows: rows(found), affected: null };
}

const error = (exc) => [exc.errno > 0 ? exc.errno : -1, exc.sqlState ?? exc.code ?? null, exc.sqlMessage ?? exc.message];

// ---- parameters ---------------------------------------------------------------------

function named(item) {
  if (typeof item === 'string') return item.replace(/\{(db|user2|nobody)\}/g, (_, name) => names[name]);
  if (Array.isArray(item)) return item.map(named);
  if (item !== null && typeof item === 'object') {
    if ('bytes' in item) return Buffer.from(item.bytes, 'hex');
    return Object.values(item)[0]; // decimals, dates, times and large integers are texts
  }
  return item;
}

const marked = (sql, params) => (params.length ? sql.replaceAll('%s', '?') : sql);

// ---- verbs --------------------------------------------------------------------------

const OPTIONS = { host, port: Number(port), user, password, database, dateStrings: true, supportBigNumbers: true,
  bigNumberStrings: false, maxPreparedStatements: 20, rowsAsArray: true, multipleStatements: true, charset: 'utf8mb4_general_ci',
  infileStreamFactory: () => { throw new Error('nothing to load'); } };
const connect = (options = {}) => mysql.createConnection({ ...OPTIONS, ...options });

const verbs = {
  query: async (c, sql, ...params) => results(await c.query(marked(sql, params), params)),
  execute: async (c, sql, ...params) => results(await c.execute(marked(sql, params), params)),
  many: async (c, sql, ...sets) => results(await c.query(sql.replace(/values \(.*\)/, 'values ?'), [sets])),
  multi: async (c, sql) => results(await c.query(sql)),
  stream: (c, sql) => new Promise((resolve, reject) => {
    const found = [];
    c.connection.query(sql).stream({ highWaterMark: 5 }).on('data', (row) => found.push(row)).on('error', reject)
      .on('end', () => resolve(rows(found)));
  }),
  reuse: async (c, sql, ...sets) => {
    const statement = await c.prepare(marked(sql, [1]));
    const seen = [];
    for (const set of sets) seen.push(rows((await statement.execute(set))[0]));
    await statement.close();
    return seen;
  },
  interleave: async (c, first, second, times) => {
    const [one, two] = [await c.prepare(marked(first, [1])), await c.prepare(marked(second, [1]))];
    const seen = [];
    for (let n = 0; n < times; n++) {
      seen.push(rows((await one.execute([n]))[0]), rows((await two.execute([`t${n}`]))[0]));
    }
    await one.close();
    await two.close();
    return seen;
  },
  autocommit: async (c, on) => { await c.query(`set autocommit = ${on ? 1 : 0}`); return on; },
  commit: async (c) => { await c.commit(); },
  rollback: async (c) => { await c.rollback(); },
  ping: async (c) => { await c.ping(); },
  reset: async (c) => { await c.reset(); },
  change_user: async (c, user, password, database) => { await c.changeUser({ user, password, database }); },
  thread_id_is_connection_id: async (c) => rows((await c.query('select connection_id() = ?', [c.threadId]))[0]),
  load: async (c, sql, text) => results(await c.query({ sql, infileStreamFactory: () => Readable.from(text ? [Buffer.from(text)] : []) })),
};

// ---- playing ------------------------------------------------------------------------

const say = (line) => console.log(JSON.stringify(line));
const connections = { main: await connect() };

async function does(step) {
  const params = named(step.params);
  if (step.verb === 'open') {
    connections[step.on] = await connect(params.length ? { [params[0]]: params[1] } : {});
    return 'opened';
  }
  if (step.verb === 'close') {
    await connections[step.on].end();
    delete connections[step.on];
    return 'closed';
  }
  if (step.verb === 'parallel') {
    return Promise.all(Array.from({ length: params[1] }, async (_, number) => {
      const c = await connect();
      const seen = [];
      for (let turn = 0; turn < 5; turn++) seen.push((await verbs.query(c, params[0], number + turn, 1000))[0].rows);
      await c.end();
      return seen;
    }));
  }
  const sql = named(step.sql);
  const given = sql || step.verb === 'query' || step.verb === 'execute' ? [sql, ...params] : params;
  return await verbs[step.verb](connections[step.on], ...given) ?? null;
}

async function play(check) {
  const line = { name: check.name, ok: true, seen: [] };
  const start = Date.now();
  for (const step of check.steps) {
    let [found, failed] = [null, null];
    try { found = await does(step); } catch (exc) { failed = error(exc); }
    line.seen.push(step.bare && !failed ? 'works' : failed ? { error: failed } : found);
    if ((failed?.[0] ?? 0) !== step.errno) line.why = `${step.verb} ${step.sql.slice(0, 200)}: ${failed}, not ${step.errno}`;
    else if (step.rows) {
      const texts = JSON.stringify(found[0].rows.map((row) => row.map((item) => (item === null ? null : item[1]))));
      if (texts !== JSON.stringify(step.rows)) line.why = `${step.sql.slice(0, 200)}: ${texts}`;
    } else if (step.affected !== null && found[0].affected !== step.affected) line.why = `${found[0].affected} affected`;
    if (line.why) { line.ok = false; break; }
  }
  for (const label of Object.keys(connections).filter((label) => label !== 'main' || !line.ok)) {
    connections[label].destroy();
    delete connections[label];
  }
  connections.main ??= await connect();
  return { ...line, ms: Date.now() - start };
}

// ---- the driver's own ---------------------------------------------------------------

async function asked(options, sql, params, how = 'query') {
  const c = await connect(options);
  try { return rows((await c[how](sql, params))[0]); } finally { await c.end(); }
}

const own = {
  'a pool: queries at once': async () => {
    const pool = mysql.createPool({ ...OPTIONS, connectionLimit: 4 });
    const seen = await Promise.all(Array.from({ length: 30 }, (_, n) =>
      pool.query('select v + ? from part where id = ?', [n, 1004 + (n % 10)]).then(([found]) => rows(found))));
    await pool.end();
    return seen;
  },
  'a pool: prepared statements at once': async () => {
    const pool = mysql.createPool({ ...OPTIONS, connectionLimit: 3 });
    const seen = await Promise.all(Array.from({ length: 30 }, (_, n) =>
      pool.execute('select v + ? from part where id = ?', [n, 1004 + (n % 10)]).then(([found]) => rows(found))));
    await pool.end();
    return seen;
  },
  'a pool: transactions': async () => {
    const pool = mysql.createPool({ ...OPTIONS, connectionLimit: 4, idleTimeout: 1000 });
    await Promise.all(Array.from({ length: 12 }, async (_, n) => {
      const c = await pool.getConnection();
      await c.beginTransaction();
      await c.query('insert into part (id, v) values (?, ?)', [6000 + n, n]);
      await c.query('insert into keyed values (?, ?)', [`pool ${n}`, n]);
      await (n % 3 ? c.commit() : c.rollback());
      c.release();
    }));
    const [found] = await pool.query("select count(*), sum(v) from keyed where left(name, 5) = 'pool '");
    await pool.end();
    return rows(found);
  },
  'a cluster of pools': async () => {
    const cluster = mysql.createPoolCluster();
    cluster.add('one', OPTIONS);
    cluster.add('two', OPTIONS);
    const seen = [];
    for (let n = 0; n < 4; n++) {
      const c = await cluster.of('*', 'RR').getConnection();
      seen.push(rows((await c.query('select ?', [n]))[0]));
      c.release();
    }
    await cluster.end();
    return seen;
  },
  'parameters by name': () => asked({ namedPlaceholders: true }, 'select :a, :b, :a', { a: 1, b: 'x' }, 'execute'),
  'objects and lists as parameters': async () => {
    const c = await connect();
    await c.query('insert into plain set ?', { v: 'set', n: 3 });
    const [found] = await c.query('select ??, n from ?? where v in (?)', ['v', 'plain', ['set', 'one']]);
    await c.end();
    return rows(found);
  },
  'dates as Date': () => asked({ dateStrings: false, timezone: 'Z' },
    "select timestamp '2024-01-02 03:04:05.678', date '2024-02-29', ?", [new Date('2024-05-06T07:08:09Z')]),
  'dates as Date, prepared': () => asked({ dateStrings: false, timezone: 'Z' },
    "select timestamp '2024-01-02 03:04:05.678', date '2024-02-29' from plain where v = ?", ['one'], 'execute'),
  'decimals as numbers': () => asked({ decimalNumbers: true }, 'select 1.50, sum(v) from part', []),
  'large numbers as texts': () => asked({ bigNumberStrings: true }, 'select 18446744073709551615, 1', []),
  'rows as objects': () => asked({ rowsAsArray: false }, "select 1 as a, 'x' as b", []),
  'tables nested': () => asked({ nestTables: true, rowsAsArray: false },
    'select p.v, k.v from part p join series k on k.n = p.v where p.id >= 1000 order by 1, 2', []),
  'a cast of our own': () => asked({ typeCast: (field, next) => (field.type === 'LONGLONG' ? `#${field.string()}` : next()) },
    "select 5 + 0, 'x'", []),
  'every kind of parameter, prepared': () => asked({},
    'select ?, ?, ?, ?, ?', [1, 1.5, 'é😀', Buffer.from([0, 255]), null], 'execute'),
  'one statement many times, prepared': async () => {
    const c = await connect();
    const seen = [];
    for (let n = 0; n < 30; n++) seen.push(rows((await c.execute('select id, v from part where id = ?', [1004 + n % 20]))[0]));
    c.unprepare('select id, v from part where id = ?');
    seen.push(rows((await c.execute('select id, v from part where id = ?', [1005]))[0]));
    await c.end();
    return seen;
  },
  'more prepared statements than are kept': async () => {
    const c = await connect({ maxPreparedStatements: 5 });
    const seen = [];
    for (let n = 0; n < 20; n++) seen.push(rows((await c.execute(`select ? + ${n % 12}`, [n]))[0]));
    await c.end();
    return seen;
  },
  'commands in a row, not awaited': async () => {
    const c = await connect();
    const seen = await Promise.all([c.query('set @r = 1'), c.query('select @r := @r + 1'), c.ping(), c.query('select @r + 0'),
      c.execute('select ?', [5])].map((one) => one.then((found) => (Array.isArray(found) ? results(found)[0].rows : null))));
    await c.end();
    return seen;
  },
  'beginTransaction, commit, rollback': async () => {
    const c = await connect();
    await c.beginTransaction();
    await c.execute('insert into account (id, amount) values (?, ?)', [900, '1.50']);
    await c.rollback();
    await c.beginTransaction();
    await c.execute('insert into account (id, amount) values (?, ?)', [901, '2.50']);
    await c.commit();
    const [found] = await c.query('select id, amount from account where id in (900, 901)');
    await c.end();
    return rows(found);
  },
  'the time-out of a query': async () => {
    const c = await connect();
    try { await c.query({ sql: 'select sleep(3)', timeout: 600 }); } catch (exc) { return exc.code; } finally { c.destroy(); }
    return 'no time-out';
  },
  'the time-out of a connect': () => asked({ connectTimeout: 20000 }, 'select 1', []),
  'connection attributes': () => asked({ connectAttributes: { program_name: 'drivers', größe: 'ü'.repeat(20) } }, 'select 1', []),
  'another character set': () => asked({ charset: 'LATIN1_SWEDISH_CI' }, "select 'né', hex('né'), @@character_set_client", []),
  'rows changed instead of rows found': async () => {
    const c = await connect({ flags: ['-FOUND_ROWS'] });
    const seen = [];
    for (let n = 0; n < 2; n++) seen.push((await c.query('update part set v = v where id between 1004 and 1010'))[0].affectedRows);
    await c.end();
    return seen;
  },
  'a stream that is read slowly': async () => {
    const c = await connect();
    let [count, sum] = [0, 0];
    for await (const row of c.connection.query('select id from part order by id').stream({ highWaterMark: 2 })) {
      count++;
      sum += row[0] % 7;
      if (count % 20 === 0) await new Promise((done) => { setTimeout(done, 5); });
    }
    await c.end();
    return [count > 60, sum > 0];
  },
  'a procedure, prepared': () => connect().then(async (c) => {
    const found = results(await c.execute('call two_results(?)', [9]));
    await c.end();
    return found;
  }),
  'a file to load that comes in pieces': async () => {
    const c = await connect();
    const pieces = Array.from({ length: 50 }, (_, n) => Buffer.from(`piece ${n},${n}\n`));
    const [found] = await c.query({ sql: "load data local infile 'x' into table keyed fields terminated by ',' (name, v)",
      infileStreamFactory: () => Readable.from(pieces) });
    const [count] = await c.query("select count(*), sum(v) from keyed where left(name, 6) = 'piece '");
    await c.end();
    return [found.affectedRows, rows(count)];
  },
  'a statement is killed by another connection': async () => {
    const [victim, other] = [await connect(), await connect()];
    const [[[number]]] = await victim.query('select connection_id()');
    const sleeping = victim.query('select sleep(20)').then(() => 'slept', (exc) => exc.errno);
    await new Promise((done) => { setTimeout(done, 500); });
    await other.query(`kill query ${number}`);
    const seen = [await sleeping, rows((await victim.query("select 'alive'"))[0])];
    await victim.end();
    await other.end();
    return seen;
  },
  'a statement of 3 MiB': () => asked({}, 'select length(?)', ['m'.repeat(3_000_000)]),
  'a prepared parameter of 3 MiB': () => asked({}, 'select length(?)', ['m'.repeat(3_000_000)], 'execute'),
};

for (const statement of [...list.tables, ...list.procedures]) await connections.main.query(statement);
for (const check of list.checks.filter((one) => one.steps.every((step) => VERBS.has(step.verb)))) say(await play(check));
await connections.main.end();
for (const [name, function_] of Object.entries(own)) {
  const start = Date.now();
  try { say({ name, ok: true, seen: await function_(), ms: Date.now() - start }); } catch (exc) {
    say({ name, ok: false, seen: { error: error(exc) }, why: String(exc) });
  }
}
say({ end: true });
process.exit(0);
