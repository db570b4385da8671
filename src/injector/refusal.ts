/** Why a pod is not let in: a field, what is wrong with it, what to do. */
export interface Refusal {
  /** `spec.containers[0].ports[0].containerPort`, `metadata.annotations["sallyport.dev/exclude-ports"]`; empty: the whole pod. */
  readonly field: string;
  readonly problem: string;
  readonly fix: string;
}

export const describeRefusal = ({ field, problem, fix }: Refusal): string =>
  `${field === '' ? '' : `${field}: `}${problem}; ${fix}`;
