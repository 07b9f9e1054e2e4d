with quality as (

    select * from {{ ref('stg_lake__surface_quality') }}

),

last_surfaces as (

    select * from {{ ref('int_session_last_surfaces__selected') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            quality.underlying,
            strftime(quality.event_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')
        ) as surface_quality_id,
        concat_ws('|', quality.underlying, quality.session_date) as session_id,
        quality.underlying,
        quality.session_date,
        quality.event_at,
        quality.known_at,
        last_surfaces.event_at is not null as is_session_last,

        -- slices
        quality.expiries,
        quality.fitted,
        quality.aged,
        quality.interpolated,
        quality.ruled,
        quality.without_smile,
        quality.fitted_share,
        quality.oldest_age_seconds,

        -- fit
        quality.quotes,
        quality.in_spread_share,
        quality.rms_half_spreads,
        quality.atm_error_bp,
        quality.parity_residual,

        -- arbitrage
        quality.butterfly_violations,
        quality.calendar_violations,
        quality.butterfly_slack,
        quality.calendar_slack,

        -- verdict
        quality.is_sound,
        quality.reasons,
    from quality
    left join last_surfaces
        on quality.underlying = last_surfaces.underlying
        and quality.session_date = last_surfaces.session_date
        and quality.event_at = last_surfaces.event_at

)

select * from final
