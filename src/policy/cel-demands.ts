/** What an expression cannot do without: the variables of which a leaf is read whatever else is true. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { MACROS } from './cel-inspect.ts';

/**
 * Whether `caller.id` or `caller.kind` is read in every evaluation that succeeds, so that the expression fails where
 * nobody is authenticated (E4, E8). False where a has(…), a branch, `||`, `&&` or a loop may go around it.
 */
export function demandsCaller(node: ASTNode): boolean {
  switch (node.op) {
    case '.':
    case '[]':
      return isCaller(node) || demandsCaller(node.args[0]) || (node.op === '[]' && demandsCaller(node.args[1]));
    case 'call':
      return node.args[0] !== 'has' && node.args[1].some(demandsCaller);
    // Of a macro the rest is a loop over what may be empty.
    case 'rcall':
      return demandsCaller(node.args[1]) || (!MACROS.has(node.args[0]) && node.args[2].some(demandsCaller));
    case 'list':
      return node.args.some(demandsCaller);
    case 'map':
      return node.args.flat().some(demandsCaller);
    case '!_':
    case '-_':
      return demandsCaller(node.args);
    // An error on one side gives way to an answer of the other.
    case '||':
    case '&&':
      return node.args.every(demandsCaller);
    case '?:':
      return demandsCaller(node.args[0]) || (demandsCaller(node.args[1]) && demandsCaller(node.args[2]));
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case 'in':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return node.args.some(demandsCaller);
    case 'id':
    case 'value':
    case '.?':
    case '[?]':
      return false;
  }
}

function isCaller(node: ASTNode): boolean {
  if (node.op !== '.' && node.op !== '[]') return false;
  const [of] = node.args;
  return of.op === 'id' && of.args === 'caller';
}
