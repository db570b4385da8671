/** What a client got, taken apart. */

export interface Answer {
  readonly status: number;
  readonly close: boolean;
  readonly body: string;
}

/** Answers of a finished connection, each with Content-Length or without body; what is left over fails. */
export function splitAnswers(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0 || !rest.startsWith('HTTP/1.1 ')) throw new Error(`no answer: ${JSON.stringify(rest)}`);
    const head = rest.slice(0, end);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    answers.push({ status: Number(head.slice(9, 12)), close: /\r\nconnection: *close/i.test(head), body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}
