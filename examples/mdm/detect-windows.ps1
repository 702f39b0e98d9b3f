# Says so and ends with 0 when the service of Fleet's agent is there, and its program is of this
# version or a newer one. Otherwise says nothing and ends with 1.
$version = '0.0.0'

$key = 'HKLM:\SYSTEM\CurrentControlSet\Services\Fleet osquery'
$image = (Get-ItemProperty -LiteralPath $key -ErrorAction SilentlyContinue).ImagePath
if (-not $image) {
    exit 1
}
# Quoted, or up to the program's name.
if ($image -notmatch '^"?(.+?\.exe)') {
    exit 1
}
$program = Get-Item -LiteralPath $Matches[1] -ErrorAction SilentlyContinue
if (-not $program) {
    exit 1
}
$info = $program.VersionInfo
$found = New-Object Version $info.FileMajorPart, $info.FileMinorPart, $info.FileBuildPart
if ($found -lt [Version] $version) {
    exit 1
}
Write-Output "Fleet's agent $found is installed"
exit 0
