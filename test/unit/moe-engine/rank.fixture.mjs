// A rank's program reduced to how it ends, which the job's `weights` field names.
const job = JSON.parse(process.argv[2]);
const behave = {
  report: () => {
    process.send({ kind: 'note', text: `token is ${process.env.MOE_ENGINE_TOKEN}` });
    process.send({ kind: 'report', report: Float64Array.of(1, 2) }, () => process.disconnect());
  },
  failure: () => {
    process.exitCode = 1;
    process.send({ kind: 'failure', code: 'WEFT_PEER_LOST', text: 'gone' }, () => process.disconnect());
  },
  crash: () => process.exit(3),
  lingering: () => {
    setInterval(() => {}, 1000);
    process.send({ kind: 'report', report: 1 });
  },
  stubborn: () => {
    process.on('SIGTERM', () => {});
    setInterval(() => {}, 1000);
    process.send({ kind: 'note', text: 'ready' });
  },
};
behave[job.weights]();
