/** Loops of expressions: all, exists, exists_one, map, filter over a list, or over a map's keys. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { compileNode, toBool, type Frame, type Run, type Slots } from './cel-program.ts';
import { charge, fail, isCelMap, readKeys } from './cel-values.ts';

/** `body` runs once an item, with the item in its slot. */
export function compileMacro(name: string, range: Run, variable: string, nodes: readonly ASTNode[], slots: Slots): Run {
  const slot = slots.size;
  const inner = new Map([...slots].map(([other, at]) => [other === variable ? ` ${other}` : other, at] as const));
  inner.set(variable, slot);
  const [first, second] = nodes.map(node => compileNode(node, inner));
  if (first === undefined) throw new Error('refused by inspect()');
  const units = 1 + nodes.reduce((sum, node) => sum + countNodes(node), 0);
  const walk = (frame: Frame, visit: (item: unknown) => boolean): void => {
    for (const item of itemsOf(range(frame), frame)) {
      charge(frame, units);
      frame.locals[slot] = item;
      if (!visit(item)) return;
    }
  };
  switch (name) {
    case 'all':
      return compileQuantifier(walk, first, false);
    case 'exists':
      return compileQuantifier(walk, first, true);
    case 'exists_one':
      return compileExistsOne(walk, first);
    case 'filter':
      return collect(walk, first, undefined);
    default:
      return second === undefined ? collect(walk, undefined, first) : collect(walk, first, second);
  }
}

type Walk = (frame: Frame, visit: (item: unknown) => boolean) => void;

function itemsOf(value: unknown, frame: Frame): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  return isCelMap(value) ? readKeys(value, frame) : fail('a loop wants a list or map');
}

/** An item that decides makes up for items that fail, as `||` and `&&` do. */
function compileQuantifier(walk: Walk, predicate: Run, decides: boolean): Run {
  return frame => {
    let result = !decides;
    let failure: Error | undefined;
    walk(frame, () => {
      try {
        if (toBool(predicate(frame)) === decides) result = decides;
      } catch (error) {
        if (frame.left < 0 || !(error instanceof Error)) throw error;
        failure ??= error;
      }
      return result !== decides;
    });
    if (result !== decides && failure !== undefined) throw failure;
    return result;
  };
}

function compileExistsOne(walk: Walk, predicate: Run): Run {
  return frame => {
    let found = 0;
    walk(frame, () => {
      if (toBool(predicate(frame))) found += 1;
      return true;
    });
    return found === 1;
  };
}

function collect(walk: Walk, predicate: Run | undefined, transform: Run | undefined): Run {
  return frame => {
    const items: unknown[] = [];
    walk(frame, item => {
      if (predicate === undefined || toBool(predicate(frame)))
        items.push(transform === undefined ? item : transform(frame));
      return true;
    });
    return items;
  };
}

function countNodes(node: ASTNode): number {
  const children: unknown = node.args;
  if (!Array.isArray(children)) return isNode(children) ? 1 + countNodes(children) : 1;
  return (children as unknown[])
    .flat()
    .reduce<number>((sum, child) => sum + (isNode(child) ? countNodes(child) : 0), 1);
}

const isNode = (value: unknown): value is ASTNode => typeof value === 'object' && value !== null && 'op' in value;
