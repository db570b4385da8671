/** Hands the rules to the kernel by `nft` and makes sure that it has them; every failure is a sentence with what to change. */
import { findGaps } from './verify.ts';
import { renderRuleset, TABLE, type InterceptionRules } from './ruleset.ts';

export interface NftResult {
  /** The exit code; undefined: the program is not there. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs nft with these arguments and this standard input. */
export type RunNft = (args: readonly string[], input: string) => Promise<NftResult>;

export interface ApplyDeps {
  readonly nft: RunNft;
  /** Text of /proc/self/status; undefined where there is none. */
  readonly processStatus: () => Promise<string | undefined>;
}

export type Applied =
  | { readonly kind: 'applied' }
  /** Something is missing here: a capability, nft, a part of the kernel. */
  | { readonly kind: 'missing'; readonly problem: string; readonly fix: string }
  /** The kernel took the rules, and what it lists does not do what they say. */
  | { readonly kind: 'wrong'; readonly gaps: readonly string[] };

const EXPLICIT = 'annotate the pod with sallyport.dev/interception: explicit, which needs no rules';
const NET_ADMIN: Applied = {
  kind: 'missing',
  problem: 'the kernel lets this process write no rules: it lacks the capability NET_ADMIN',
  fix:
    'run it as user 0 with capabilities {drop: [ALL], add: [NET_ADMIN]} (added capabilities do not reach other users); ' +
    `where the namespace’s Pod Security level refuses that, ${EXPLICIT}`,
};
const NO_NFT: Applied = {
  kind: 'missing',
  problem: 'there is no program nft',
  fix: 'use the image of Sallyport, or install the package nftables',
};

/** One transaction: where it fails, what was in force before stays. */
export async function applyRuleset(rules: InterceptionRules, deps: ApplyDeps): Promise<Applied> {
  const status = await deps.processStatus();
  if (status !== undefined && !hasNetAdmin(status)) return NET_ADMIN;
  const written = await deps.nft(['-f', '-'], renderRuleset(rules));
  if (written.code !== 0) return explainFailure(written);
  const listed = await deps.nft(['-j', 'list', 'table', TABLE.family, TABLE.name], '');
  if (listed.code !== 0) return explainFailure(listed);
  const listing = readJson(listed.stdout);
  if (listing === undefined) return explainFailure({ ...listed, stderr: 'JSON' });
  const gaps = findGaps(listing, rules);
  return gaps.length === 0 ? { kind: 'applied' } : { kind: 'wrong', gaps };
}

const CAP_NET_ADMIN = 12n;

/** `CapEff` of /proc/self/status (proc(5)). A text without it tells nothing, and the kernel has the last word. */
function hasNetAdmin(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]{1,32})$/m.exec(status)?.[1];
  return effective === undefined || ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

function explainFailure({ code, stderr }: NftResult): Applied {
  if (code === undefined) return NO_NFT;
  if (/not permitted|must be root/i.test(stderr)) return NET_ADMIN;
  if (/JSON/.test(stderr)) {
    return {
      kind: 'missing',
      problem: 'nft is built without JSON, so nobody can tell whether the rules are in place',
      fix: 'use an nft with JSON, such as Debian’s',
    };
  }
  const line = stderr
    .split('\n', 1)
    .join('')
    .replaceAll(/[^\x20-\x7e]/g, ' ')
    .slice(0, 200);
  const isKernel = /no such file|not supported|protocol not available|unable to initialize|cache initialization/i;
  if (isKernel.test(stderr)) {
    return {
      kind: 'missing',
      problem: `the kernel has no nftables with NAT for IPv4 and IPv6 (nft says: ${line})`,
      fix: `load the modules on the node (modprobe -a nf_tables nft_chain_nat nft_redir nft_ct), or ${EXPLICIT}`,
    };
  }
  return { kind: 'missing', problem: `nft failed: ${line}`, fix: 'see what it says' };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
