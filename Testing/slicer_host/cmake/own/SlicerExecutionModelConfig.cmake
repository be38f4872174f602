# The build of command line modules: there are none here.
set(SlicerExecutionModel_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/vtkMacroKitPythonWrap.cmake)
