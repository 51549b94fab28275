/**
 * Why this machine cannot run the server, as lines for its user, or nothing when it can.
 * uWebSockets.js and the pinned Node are native: they come built for one platform.
 */
const OLDEST_GLIBC = [2, 28];

export function platformProblem(platform = process.platform, arch = process.arch, glibc = glibcVersion()) {
  const wrong = findWrong(platform, arch, glibc);
  if (wrong === undefined) return undefined;
  return [
    `Holdfast's server does not run here: ${wrong}.`,
    `It needs Linux on x64 with glibc ${OLDEST_GLIBC.join('.')} or later (Debian 10, Ubuntu 20.04, RHEL 8 and newer),`,
    'because its sockets (uWebSockets.js) and its Node 22 come as native code built for that platform.',
    'On another system a Linux container does, for example: docker run -it node:20 bash',
  ].join('\n');
}

function findWrong(platform, arch, glibc) {
  if (platform !== 'linux') return `this system is ${platform}`;
  if (arch !== 'x64') return `this processor is ${arch}`;
  if (glibc == null) return 'this Linux has no glibc (Alpine, for one, uses musl)';
  const [major, minor] = glibc.split('.').map(Number);
  const old = major < OLDEST_GLIBC[0] || (major === OLDEST_GLIBC[0] && minor < OLDEST_GLIBC[1]);
  return old ? `its glibc is ${glibc}` : undefined;
}

function glibcVersion() {
  // Without this the report looks up a name for every open socket's address.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime;
}
