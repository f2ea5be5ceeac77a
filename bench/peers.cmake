# SPDX-License-Identifier: MIT
# Peers in other languages, all of them Debian's own packages and built without a network:
#
#   go      <problem>/go.go, with Go's library alone
#   tokio   <problem>/tokio.rs, with the crates that Debian packages as sources
#   python  <problem>/python.py, which is two peers: asyncio and uvloop; or a package's peer
#
# Each program is a target bench_<problem>_<peer>, like those in C++. Compilers are asked for by their
# place, since another one on PATH may have been told to fetch things.

set(programs "${CMAKE_CURRENT_BINARY_DIR}/programs")

find_program(HEDDLE_GO go PATHS /usr/bin NO_DEFAULT_PATH)
mark_as_advanced(HEDDLE_GO)
if(HEDDLE_GO)
  execute_process(COMMAND "${HEDDLE_GO}" version OUTPUT_VARIABLE go_version)
  string(REGEX REPLACE ".*go([0-9.]+) .*" "\\1" go_version "${go_version}")
  peer_found(go "${go_version}")
else()
  peer_missing(go golang-go)
endif()

function(bench_foreign_target problem peer)
  add_custom_target(bench_${problem}_${peer} DEPENDS "${programs}/${problem}_${peer}")
  add_dependencies(heddle_bench bench_${problem}_${peer})
endfunction()

# bench_go_program(<problem>): from <problem>/go.go alone, since Go wants no other languages in a
# folder that is a package.
function(bench_go_program problem)
  if(NOT HEDDLE_GO)
    return()
  endif()
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/go")
  add_custom_command(OUTPUT "${programs}/${problem}_go"
    COMMAND ${CMAKE_COMMAND} -E env
      "GOCACHE=${folder}/cache" "GOPATH=${folder}" GOENV=off GOFLAGS= GOPROXY=off GOWORK=off
      GO111MODULE=on CGO_ENABLED=0
      "${HEDDLE_GO}" build -o "${programs}/${problem}_go" ${problem}/go.go
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    DEPENDS ${problem}/go.go common/go/program.go common/go/rows.go go.mod
    COMMENT "Building bench/programs/${problem}_go" VERBATIM)
  bench_foreign_target(${problem} go)
endfunction()

find_program(HEDDLE_CARGO cargo PATHS /usr/bin NO_DEFAULT_PATH)
find_program(HEDDLE_RUSTC rustc PATHS /usr/bin NO_DEFAULT_PATH)
set(HEDDLE_CRATES /usr/share/cargo/registry CACHE PATH "Sources of crates, as Debian packages them")
mark_as_advanced(HEDDLE_CARGO HEDDLE_RUSTC HEDDLE_CRATES)
file(GLOB tokio_crate "${HEDDLE_CRATES}/tokio-1.*")
if(NOT HEDDLE_CARGO)
  peer_missing(tokio cargo)
elseif(NOT HEDDLE_RUSTC)
  peer_missing(tokio rustc)
elseif(NOT tokio_crate)
  peer_missing(tokio librust-tokio-dev)
else()
  string(REGEX REPLACE ".*/tokio-" "" tokio_version "${tokio_crate}")
  peer_found(tokio "${tokio_version}")
endif()

# bench_tokio_programs(<problem>...): from <problem>/tokio.rs. One cargo package has them all, so that
# Tokio is compiled once.
function(bench_tokio_programs)
  if(NOT HEDDLE_CARGO OR NOT HEDDLE_RUSTC OR NOT tokio_crate)
    return()
  endif()
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/rust")
  set(rust_programs "")
  foreach(problem ${ARGN})
    string(APPEND rust_programs "[[bin]]\nname = \"${problem}_tokio\"\n"
      "path = \"${CMAKE_CURRENT_SOURCE_DIR}/${problem}/tokio.rs\"\n\n")
  endforeach()
  configure_file(common/rust/Cargo.toml.in "${folder}/Cargo.toml" @ONLY)
  configure_file(common/rust/config.toml.in "${folder}/.cargo/config.toml" @ONLY)
  if(HEDDLE_NATIVE)
    set(native "-Ctarget-cpu=native")
  endif()
  foreach(problem ${ARGN})
    add_custom_command(OUTPUT "${programs}/${problem}_tokio"
      COMMAND ${CMAKE_COMMAND} -E env
        "CARGO_HOME=${folder}/home" "CARGO_TARGET_DIR=${folder}/target" "RUSTC=${HEDDLE_RUSTC}"
        RUSTC_WRAPPER= "RUSTFLAGS=${native}"
        "${HEDDLE_CARGO}" build --quiet --release --offline --bin ${problem}_tokio
      COMMAND ${CMAKE_COMMAND} -E copy "${folder}/target/release/${problem}_tokio" "${programs}"
      WORKING_DIRECTORY "${folder}"
      DEPENDS ${problem}/tokio.rs common/rust/program.rs common/rust/rows.rs "${folder}/Cargo.toml"
      COMMENT "Building bench/programs/${problem}_tokio" VERBATIM)
    bench_foreign_target(${problem} tokio)
  endforeach()
endfunction()

# Debian's, for which uvloop is installed.
find_program(HEDDLE_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
mark_as_advanced(HEDDLE_PYTHON)
if(HEDDLE_PYTHON)
  execute_process(COMMAND "${HEDDLE_PYTHON}" -c "import platform; print(platform.python_version(), end='')"
    OUTPUT_VARIABLE python_version)
  peer_found(asyncio "${python_version}")
  execute_process(COMMAND "${HEDDLE_PYTHON}" -c "import uvloop; print(uvloop.__version__, end='')"
    OUTPUT_VARIABLE uvloop_version ERROR_QUIET)
else()
  peer_missing(asyncio python3)
endif()
if(uvloop_version)
  peer_found(uvloop "${uvloop_version}")
else()
  peer_missing(uvloop python3-uvloop)
endif()

# Peers that are packages of Python, for Debian's interpreter: the peer has the package's name.
foreach(package aiohttp celery websockets)
  set(package_version "")
  if(HEDDLE_PYTHON)
    execute_process(
      COMMAND "${HEDDLE_PYTHON}" -c
        "from importlib.metadata import version; print(version('${package}'), end='')"
      OUTPUT_VARIABLE package_version ERROR_QUIET)
  endif()
  if(package_version)
    peer_found(${package} "${package_version}")
  else()
    peer_missing(${package} python3-${package})
  endif()
endforeach()

# bench_python_program(<problem>): <problem>/python.py as it stands, under the name of a program.
function(bench_python_program problem)
  if(HEDDLE_PYTHON)
    file(MAKE_DIRECTORY "${programs}")
    file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}/${problem}/python.py" "${programs}/${problem}_python"
      SYMBOLIC)
  endif()
endfunction()
