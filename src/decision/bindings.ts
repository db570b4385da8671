/** The variables of expressions, by rules E4–E7. Each is worked out when an expression reads it, so most never are. */
import { SHARED_METER, type Bindings, type Meter } from '../policy/expression.ts';
import type { StepHead } from '../policy/steps.ts';
import { EMPTY_RECORD } from './cel-value.ts';
import { certificateBinding } from './certificate-binding.ts';
import type { Run } from './run.ts';

const NO_TOKEN = Object.freeze({ claims: EMPTY_RECORD });
const NO_CERTIFICATE = Object.freeze({ subject: EMPTY_RECORD, issuer: EMPTY_RECORD, subjectAltName: EMPTY_RECORD });

/** The members are read through getters of a prototype that has none itself: no name of Object.prototype is a variable. */
class StepBindings {
  readonly [variable: string]: unknown;
  readonly #run: Run;
  readonly #step: StepHead;
  readonly #response: Readonly<Record<string, unknown>> | undefined;
  #vars: Readonly<Record<string, string>> | undefined;

  constructor(run: Run, step: StepHead, response: Readonly<Record<string, unknown>> | undefined) {
    this.#run = run;
    this.#step = step;
    this.#response = response;
  }

  get [SHARED_METER](): Meter {
    return this.#run.meterOf(this.#step);
  }

  get request(): unknown {
    return this.#run.requestBinding;
  }

  get params(): unknown {
    return this.#run.params;
  }

  get source(): unknown {
    return { ip: this.#run.request.sourceIp };
  }

  get vars(): unknown {
    // A loop may read it thousands of times, and nothing is set meanwhile.
    return (this.#vars ??= this.#run.varsBinding(this.#step));
  }

  get jwt(): unknown {
    return this.#run.latest(this.#step, 'token')?.binding ?? NO_TOKEN;
  }

  get cert(): unknown {
    const facts = this.#run.latest(this.#step, 'certificate');
    return facts === undefined ? NO_CERTIFICATE : certificateBinding(facts);
  }

  get subscription(): unknown {
    const name = this.#run.latest(this.#step, 'subscription');
    return name === undefined ? EMPTY_RECORD : { name };
  }

  get caller(): unknown {
    const principal = this.#run.latest(this.#step, 'principal');
    return principal === undefined ? EMPTY_RECORD : { kind: principal.kind, id: principal.id };
  }

  get steps(): unknown {
    return this.#run.stepsBinding(this.#step);
  }

  get response(): unknown {
    return this.#response;
  }
}
Object.setPrototypeOf(StepBindings.prototype, null);
Reflect.deleteProperty(StepBindings.prototype, 'constructor');

export const createBindings = (
  run: Run,
  step: StepHead,
  response: Readonly<Record<string, unknown>> | undefined,
): Bindings => new StepBindings(run, step, response);
