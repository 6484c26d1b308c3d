# The addon as CMakeLists.txt builds it, for machines without cmake. `npx node-gyp rebuild` puts it into build/Release.
{
  'variables': {
    # Only Highway's headers are used; the compiler knows whether they are there.
    'highway%': '<!(printf "#include <hwy/targets.h>" | ${CXX:-c++} -std=c++23 -E -x c++ - >/dev/null 2>&1 && echo 1 || echo 0)',
  },
  'targets': [{
    'target_name': 'tensorweft',
    'sources': ['<!@(grep ^native/ native/sources.txt)'],
    'include_dirs': ['native'],
    'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
    'cflags!': ['-Wno-unused-parameter'],
    'cflags': [
      '-Wall', '-Wextra', '-Werror', '-ffp-contract=off', '-fvisibility=hidden',
      '-isystem', '<!(node -p "require(\'node:path\').resolve(require(\'node-addon-api\').include_dir)")',
    ],
    # Node's own headers ask for an older standard than our sources.
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++23', '-fno-exceptions', '-fno-rtti'],
    'conditions': [
      ['highway==1', {'defines': ['WEFT_HAVE_HWY=1']}],
    ],
  }],
}
