# The program that starts Slicer in a build tree: none is made here.
function(ctkAppLauncherConfigureForExecutable)
endfunction()
