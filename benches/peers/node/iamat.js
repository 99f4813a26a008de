// An IAMAT server on Node's net.
//
//     node iamat.js PORT     (0: any; it says which)
'use strict';

const net = require('node:net');

const NAME = 'Goloman';

// The longest line; who sends more without an end of line is left.
const LIMIT = 4096;

// Bytes are held as Latin-1 text, in which `\s` would be more than the six characters of ASCII white space.
const IAMAT = new RegExp(
  String.raw`^IAMAT[ \t\r\n\f\v]+([^ \t\r\n\f\v]{1,255})` +
  String.raw`[ \t\r\n\f\v]+(([+-]\d+(?:\.\d*)?)([+-]\d+(?:\.\d*)?)/?)` +
  String.raw`[ \t\r\n\f\v]+((-?)(\d{1,18})(?:\.(\d{0,9}))?)$`,
);
const ENDS = /^[ \t\r\n\f\v]+|[ \t\r\n\f\v]+$/g;

// Of each client the newest report: {nanoseconds, report}, the latter being its AT line.
const reports = new Map();

// What to say to this line; nothing to one of white space alone.
function answer(line) {
  line = line.replace(ENDS, '');
  const match = IAMAT.exec(line);
  if (match === null || Math.abs(match[3]) > 90 || Math.abs(match[4]) > 180) {
    return line === '' ? '' : `? ${line}\n`;
  }
  const [, client, position, , , timestamp, sign, seconds, decimals = ''] = match;
  const nanoseconds = BigInt(sign + seconds + decimals.padEnd(9, '0'));
  const difference = now() - nanoseconds;
  const digits = String(difference < 0n ? -difference : difference).padStart(10, '0');
  const written = `${difference < 0n ? '-' : '+'}${digits.slice(0, -9)}.${digits.slice(-9)}`;
  const report = `AT ${NAME} ${written} ${client} ${position} ${timestamp}\n`;
  const known = reports.get(client);
  if (known === undefined || known.nanoseconds < nanoseconds) {
    reports.set(client, { nanoseconds, report });
  }
  return report;
}

// The wall clock: Node tells it to the microsecond.
function now() {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}

// Serves one client: all lines of one receipt are answered by one write.
function serve(socket) {
  let begun = '';
  socket.setEncoding('latin1');
  socket.on('data', (data) => {
    const lines = (begun + data).split('\n');
    begun = lines.pop();
    const answers = lines.map(answer).join('');
    // Who does not read is not read from.
    if (answers !== '' && !socket.write(answers, 'latin1')) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
    if (begun.length > LIMIT) {
      socket.destroySoon();
    }
  });
  // A last line without an end still counts.
  socket.on('end', () => socket.end(answer(begun), 'latin1'));
  // The socket is closed after it; there is nobody to tell.
  socket.on('error', () => {});
}

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, serve);
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 }, () => {
  console.log('listening on', server.address().port);
});
