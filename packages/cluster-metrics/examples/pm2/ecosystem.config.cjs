// pm2 start ecosystem.config.cjs: four workers in cluster mode, and the process that shows their metrics.
const { PORT = 8080, METRICS_PORT = 9464, STORES = '/dev/shm/pm2_example' } = process.env;
const env = { PORT, METRICS_PORT, STORES };

module.exports = {
  apps: [
    { name: 'metrics', script: 'metrics.mjs', cwd: __dirname, env },
    { name: 'web', script: 'web.mjs', cwd: __dirname, env, exec_mode: 'cluster', instances: 4 },
  ],
};
