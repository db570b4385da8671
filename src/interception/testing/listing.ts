/** For tests: what `nft -j list table inet sallyport` of nftables 1.0.6 answers for proxy port 15190, 15191 and 9090 excluded, UDP 53. */

export type Listing = { nftables: Record<string, Record<string, unknown>>[] };

const match = (left: object, right: unknown, op = '=='): object => ({ match: { op, left, right } });
const meta = (key: string): object => ({ meta: { key } });
const port = (protocol: string): object => ({ payload: { protocol, field: 'dport' } });

const rule = (chain: string, ...expr: object[]): Record<string, Record<string, unknown>> => ({
  rule: { family: 'inet', table: 'sallyport', chain, handle: 3, expr },
});
const chain = (name: string, type: string, hook: string, prio: number, policy: string) => ({
  chain: { family: 'inet', table: 'sallyport', name, handle: 1, type, hook, prio, policy },
});

export const record = (): Listing => ({
  nftables: [
    { metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 } },
    { table: { family: 'inet', name: 'sallyport', handle: 3 } },
    chain('intercept', 'nat', 'prerouting', -110, 'accept'),
    chain('guard', 'filter', 'input', 0, 'drop'),
    rule('intercept', match(meta('iifname'), 'lo'), { return: null }),
    rule('intercept', match(port('tcp'), { set: [9090, 15191] }), { return: null }),
    rule('intercept', match(meta('l4proto'), 'tcp'), { redirect: { port: 15190 } }),
    rule('guard', match(meta('iifname'), 'lo'), { accept: null }),
    rule('guard', match({ ct: { key: 'state' } }, ['established', 'related'], 'in'), { accept: null }),
    rule('guard', match(meta('l4proto'), { set: ['icmp', 'ipv6-icmp'] }), { accept: null }),
    rule('guard', match(port('tcp'), { set: [9090, 15190, 15191] }), { accept: null }),
    rule('guard', match(port('udp'), 53), { accept: null }),
  ],
});

/** The same where there is no /etc/protocols, and where nft does not fold two matches into one. */
export const recordNumbers = (): Listing =>
  JSON.parse(
    JSON.stringify(record())
      .replaceAll('"right":"tcp"', '"right":6')
      .replaceAll('["icmp","ipv6-icmp"]', '[1,58]')
      .replaceAll(
        '{"match":{"op":"==","left":{"payload":{"protocol":"tcp",',
        '{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":6}},{"match":{"op":"==","left":{"payload":{"protocol":"th",',
      ),
  ) as Listing;
