/** Configuration and command lines of what runs pods: containerd, kubelet, kube-proxy, CoreDNS. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { requirePart } from '../../../cluster/parts.ts';
import { nameControlGroup } from './control-groups.ts';
import { NODE_IP, POD_RANGE, POD_RANGE_IPV6 } from './machine.ts';

export const DNS_IP = '10.96.0.10';
export const PAUSE_IMAGE = 'localhost/pause:1';
export const NODE_NAME = 'node';
const CNI_PLUGINS = '/usr/lib/cni';

export interface NodeSettings {
  /** Path of the cluster's folder, and its name. */
  readonly folder: string;
  readonly cluster: string;
  readonly kubeconfigs: { readonly kubelet: string; readonly proxy: string; readonly dns: string };
  /** The kubelet's serving certificate, and the authority of its clients. */
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

export function locateSocket(folder: string): string {
  return join(folder, 'containerd.sock');
}

/** Without CAP_SYS_RESOURCE (a virtual machine in a sandbox) runc dies when it is asked to lower oom_score_adj. */
function describeContainerd(folder: string): string {
  const runtime = `plugins.'io.containerd.cri.v1.runtime'`;
  return `version = 3
root = "${folder}/containerd"
state = "${folder}/containerd-state"
[grpc]
address = "${locateSocket(folder)}"
[plugins.'io.containerd.internal.v1.opt']
path = "${folder}/containerd-opt"
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "${PAUSE_IMAGE}"
[${runtime}]
restrict_oom_score_adj = true
disable_apparmor = true
tolerate_missing_hugetlb_controller = true
netns_mounts_under_state_dir = true
[${runtime}.cni]
bin_dirs = ["${CNI_PLUGINS}"]
conf_dir = "${folder}/cni"
[${runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[${runtime}.containerd.runtimes.runc.options]
SystemdCgroup = false
`;
}

function describeNetwork(): unknown {
  const ranges = [[{ subnet: POD_RANGE }], [{ subnet: POD_RANGE_IPV6 }]];
  const bridge = {
    ...{ type: 'bridge', bridge: 'cni0', isDefaultGateway: true, hairpinMode: true },
    ipam: { type: 'host-local', ranges, dataDir: '/run/ipam' },
  };
  return {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [bridge, { type: 'portmap', capabilities: { portMappings: true } }],
  };
}

function describeKubelet({ folder, cluster, certificate, key, ca }: NodeSettings): unknown {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: ca } },
    authorization: { mode: 'Webhook' },
    ...{ tlsCertFile: certificate, tlsPrivateKeyFile: key },
    containerRuntimeEndpoint: `unix://${locateSocket(folder)}`,
    ...{ podLogsDir: join(folder, 'pods'), volumePluginDir: join(folder, 'volume-plugins'), resolvConf: '' },
    // Mounted ConfigMaps and Secrets follow within seconds: bundles that are rotated in a test must reach apps.
    syncFrequency: '5s',
    ...{ clusterDNS: [DNS_IP], clusterDomain: 'cluster.local' },
    ...{ cgroupDriver: 'cgroupfs', cgroupRoot: nameControlGroup(cluster), enforceNodeAllocatable: [] },
    ...{ failCgroupV1: false, failSwapOn: false, localStorageCapacityIsolation: false },
    // The disk is somebody else's: how full it is must not evict pods or delete images.
    ...{ evictionHard: {}, imageGCHighThresholdPercent: 100 },
  };
}

/** Answers for `cluster.local` alone: the cluster knows no other network. */
function describeDns(kubeconfig: string): string {
  return `.:53 {
  bind ${NODE_IP}
  errors
  ready ${NODE_IP}:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${kubeconfig}
    pods insecure
  }
}
`;
}

/** Writes the files that the commands below name. */
export function writeNodeFiles(settings: NodeSettings): void {
  const write = (name: string, text: string): void => {
    const file = join(settings.folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  write('containerd.toml', describeContainerd(settings.folder));
  write('cni/pods.conflist', JSON.stringify(describeNetwork()));
  write('kubelet.json', JSON.stringify(describeKubelet(settings)));
  write('Corefile', describeDns(settings.kubeconfigs.dns));
}

export function listContainerdCommand({ folder }: NodeSettings): readonly string[] {
  return [requirePart('containerd'), '--config', join(folder, 'containerd.toml'), '--log-level', 'info'];
}

export function listKubeletCommand({ folder, kubeconfigs }: NodeSettings): readonly string[] {
  return [
    requirePart('kubelet'),
    ...[`--config=${join(folder, 'kubelet.json')}`, `--kubeconfig=${kubeconfigs.kubelet}`],
    ...[`--root-dir=${join(folder, 'kubelet')}`, `--cert-dir=${join(folder, 'kubelet-pki')}`],
    ...[`--hostname-override=${NODE_NAME}`, `--node-ip=${NODE_IP}`],
  ];
}

/** The sysctls of connection tracking belong to the whole machine: zero leaves them alone. */
export function listProxyCommand({ kubeconfigs }: NodeSettings): readonly string[] {
  return [
    requirePart('kube-proxy'),
    ...[`--kubeconfig=${kubeconfigs.proxy}`, `--hostname-override=${NODE_NAME}`, '--proxy-mode=nftables'],
    ...['--conntrack-max-per-core=0', '--conntrack-min=0'],
    ...['--conntrack-tcp-timeout-established=0', '--conntrack-tcp-timeout-close-wait=0'],
  ];
}

export function listDnsCommand({ folder }: NodeSettings): readonly string[] {
  return [requirePart('coredns'), '-conf', join(folder, 'Corefile')];
}
