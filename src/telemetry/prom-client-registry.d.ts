/** prom-client's registry alone, as it is at run time: it writes whatever has a name and a get(). */
declare module 'prom-client/lib/registry.js' {
  export interface Sample {
    readonly metricName?: string;
    readonly labels: Readonly<Record<string, string | number>>;
    readonly value: number;
  }
  export interface Collected {
    readonly name: string;
    readonly help: string;
    readonly type: 'counter' | 'gauge' | 'histogram';
    readonly values: readonly Sample[];
  }
  export default class Registry {
    static readonly OPENMETRICS_CONTENT_TYPE: string;
    constructor(contentType: string);
    registerMetric(metric: { readonly name: string; get(): Promise<Collected> }): void;
    metrics(): Promise<string>;
  }
}
