# Stands for the SlicerConfig.cmake of a built Slicer. The macros are Slicer's and CTK's own, from checkouts of their
# sources: -DSLICER_CHECKOUT=... -DCTK_CHECKOUT=...; UseSlicer.cmake.in needs nothing filled in. The values are those
# that a build on Linux writes. Of what a build has compiled, only the names are here.
foreach(name SLICER_CHECKOUT CTK_CHECKOUT)
  if(NOT EXISTS "${${name}}/CMake")
    message(FATAL_ERROR "${name} names no checkout: ${${name}}")
  endif()
endforeach()

set(Slicer_CMAKE_DIR ${SLICER_CHECKOUT}/CMake)
set(Slicer_EXTENSIONS_CMAKE_DIR ${SLICER_CHECKOUT}/Extensions/CMake)
set(CTK_CMAKE_DIR ${CTK_CHECKOUT}/CMake)
list(PREPEND CMAKE_MODULE_PATH
  ${Slicer_CMAKE_DIR} ${Slicer_EXTENSIONS_CMAKE_DIR} ${CTK_CMAKE_DIR} ${CMAKE_CURRENT_LIST_DIR})
list(PREPEND CMAKE_PREFIX_PATH ${CMAKE_CURRENT_LIST_DIR})

set(Slicer_USE_FILE ${Slicer_CMAKE_DIR}/UseSlicer.cmake.in)
set(Slicer_EXTENSION_GENERATE_CONFIG ${Slicer_CMAKE_DIR}/SlicerExtensionGenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${Slicer_CMAKE_DIR}/SlicerExtensionCPack.cmake)
set(Slicer_PYTHON_MODULE_TEST_TEMPLATES_DIR ${SLICER_CHECKOUT}/Base/QTCore/Testing/Python)
set(Slicer_LICENSE_FILE ${SLICER_CHECKOUT}/License.txt)
set(Slicer_README_FILE ${SLICER_CHECKOUT}/README.md)

set(Slicer_VERSION 5.12)
set(Slicer_REVISION 34000)
set(Slicer_WC_ROOT https://github.com/Slicer/Slicer)
set(Slicer_OS linux)
set(Slicer_ARCHITECTURE amd64)
set(Slicer_MAIN_PROJECT_APPLICATION_NAME Slicer)
set(Slicer_ORGANIZATION_NAME NA-MIC)
# What ctest starts: a program of the test, or none.
set(Slicer_LAUNCHER_EXECUTABLE ${LAUNCHER})
set(Slicer_ExternalData_DATA_MANAGEMENT_TARGET SlicerData)
set(Slicer_USE_PYTHONQT ON)
set(Slicer_USE_CTKAPPLAUNCHER OFF)

set(Slicer_INSTALL_ROOT "./")
set(Slicer_SHARE_DIR share/Slicer-${Slicer_VERSION})
foreach(kind QTSCRIPTED QTLOADABLE CLI)
  string(TOLOWER ${kind} folder)
  string(REGEX REPLACE "^qt" "qt-" folder ${folder})
  set(Slicer_${kind}MODULES_LIB_DIR lib/Slicer-${Slicer_VERSION}/${folder}-modules)
  set(Slicer_INSTALL_${kind}MODULES_LIB_DIR ${Slicer_INSTALL_ROOT}${Slicer_${kind}MODULES_LIB_DIR})
endforeach()

# CTK's macro compiles the scripts with the Python that Slicer was built with.
set(PYTHONINTERP_FOUND TRUE)
set(PYTHONLIBS_FOUND TRUE)
set(PYTHON_LIBRARIES ${PYTHON_EXECUTABLE})
include(ctkFunctionExtractOptimizedLibrary)

# Compiled parts of Slicer, which a scripted module does not use.
set(Slicer_SKIP_SlicerBlockPlatformCheck TRUE)
set(Slicer_SKIP_SET_CMAKE_C_CXX_FLAGS TRUE)
set(Slicer_SKIP_EXTERNAL_PROJECTS_USEFILE TRUE)
